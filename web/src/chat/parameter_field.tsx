import { useEffect, useId, useState } from "preact/hooks";

import { type Parameter, rangeOf, readValue, showValue, type Value } from "../model/parameters";

interface Props {
  parameter: Parameter;
  value: Value | undefined;
  onChange: (value: Value | undefined) => void;
}

function Switch({ parameter, value, onChange }: Props) {
  const { label, standard, note } = parameter;
  return (
    <label class="switch" title={`${parameter.name}; default: ${standard}`}>
      <input
        type="checkbox" role="switch" checked={(value ?? standard) as boolean}
        onChange={(e) => onChange(e.currentTarget.checked === standard ? undefined : e.currentTarget.checked)}
      />
      <span>{label}{note ? <small>{note}</small> : null}</span>
    </label>
  );
}

function standardText({ standard, kind }: Parameter): string {
  if (standard !== undefined) return String(standard);
  return kind === "seed" ? "drawn" : "none";
}

// What is typed is kept as it is until it is right: the message says what would be.
export function ParameterField(props: Props) {
  const { parameter, value, onChange } = props;
  const { name, label, kind, min, max, step, note } = parameter;
  const id = useId();
  const [text, setText] = useState(showValue(parameter, value));
  const [error, setError] = useState("");
  useEffect(() => setText(showValue(parameter, value)), [value]);
  if (kind === "boolean") return <Switch {...props} />;

  const change = (typed: string) => {
    setText(typed);
    try {
      const read = readValue(parameter, typed);
      setError("");
      onChange(read);
    } catch (e) {
      setError((e as Error).message);
    }
  };
  const shared = { id, value: text, "aria-invalid": error !== "", "aria-describedby": `${id}-note`, placeholder: standardText(parameter) };
  const isLong = kind === "strings" || kind === "bias";
  return (
    <div class={kind === "seed" || kind === "ids" ? "parameter long" : "parameter"} title={name}>
      <label for={id}>{label}</label>
      {isLong ? (
        <textarea {...shared} rows={2} onInput={(e) => change(e.currentTarget.value)} />
      ) : (
        <input {...shared} type="text" inputMode={kind === "number" ? "decimal" : "text"} onInput={(e) => change(e.currentTarget.value)} />
      )}
      {kind === "number" && max! <= 2 ? (
        <input
          type="range" min={min} max={max} step={step} aria-label={`${label}, slider`}
          value={Number(value ?? parameter.standard)} onInput={(e) => change(e.currentTarget.value)}
        />
      ) : null}
      <small id={`${id}-note`} class={error ? "error" : ""}>{error || `${rangeOf(parameter)}${note ? ` · ${note}` : ""}`}</small>
    </div>
  );
}
