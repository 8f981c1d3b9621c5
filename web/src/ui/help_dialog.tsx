import { Dialog } from "./dialog";

const kKeys = [
  ["Enter", "send; Shift + Enter for a new line"],
  ["Esc", "stop the answer, close what is open"],
  ["↑", "in the empty box: edit the last question"],
  ["Alt + N", "new chat"],
  ["Alt + 1 … 4", "Chat, Inside, Compare, Server"],
  ["← →", "in Inside: the token before and after"],
  ["?", "this list"],
];

export function HelpDialog({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Keyboard" onClose={onClose}>
      <dl class="keys">
        {kKeys.map(([key, what]) => (
          <div key={key}>
            <dt><kbd>{key}</kbd></dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
