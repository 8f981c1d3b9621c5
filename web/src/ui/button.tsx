import type { JSX } from "preact";

import { Icon, type IconName } from "./icon";

type Props = Omit<JSX.IntrinsicElements["button"], "icon" | "label"> & { icon: IconName; label: string };

// A button that shows only an icon; its label is read out and shown on hover.
export function IconButton({ icon, label, ...rest }: Props) {
  return (
    <button type="button" title={label} aria-label={label} {...rest} class={`icon-button ${rest.class ?? ""}`}>
      <Icon name={icon} />
    </button>
  );
}
