import { useEffect, useRef, useState } from "preact/hooks";

import { connection } from "../api/connection";
import { IconButton } from "../ui/button";
import { Icon } from "../ui/icon";
import { isWriting, send, shown, stop } from "./state";
import { TokenMeter } from "./token_meter";

export const kComposer = "composer";

// The last question, to be edited by the arrow key in an empty box.
function editLast(): void {
  const buttons = document.querySelectorAll<HTMLButtonElement>(".message.user .edit-question");
  buttons[buttons.length - 1]?.click();
}

export function Composer() {
  const [text, setText] = useState("");
  const area = useRef<HTMLTextAreaElement>(null);
  const isBusy = isWriting.value;
  const canSend = text.trim() !== "" && !isBusy && connection.state.value !== "lost";

  useEffect(() => {
    const box = area.current!;
    box.style.height = "auto";
    box.style.height = `${Math.min(box.scrollHeight, innerHeight * 0.4)}px`;
  }, [text]);

  const submit = () => {
    if (!canSend) return;
    send(text.trim());
    setText("");
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      submit();
    }
    if (event.key === "ArrowUp" && text === "" && shown.value.length > 0) {
      event.preventDefault();
      editLast();
    }
  };
  return (
    <form class="composer" onSubmit={(e) => { e.preventDefault(); submit(); }}>
      <textarea
        ref={area} id={kComposer} rows={1} value={text} placeholder="Ask the model" aria-label="Message" autofocus
        onInput={(e) => setText(e.currentTarget.value)} onKeyDown={onKeyDown}
      />
      {isBusy ? (
        <IconButton icon="stop" label="Stop (Esc)" class="primary" onClick={stop} />
      ) : (
        <button type="submit" class="icon-button primary" aria-label="Send (Enter)" title="Send (Enter)" disabled={!canSend}>
          <Icon name="send" />
        </button>
      )}
      <TokenMeter draft={text} />
    </form>
  );
}
