import { useState } from "preact/hooks";

import { siblings, type Message } from "../model/conversation";
import { IconButton } from "../ui/button";
import { copy } from "../ui/clipboard";
import { AnswerView } from "./answer_view";
import { conversation, editQuestion, showBranch } from "./state";

// Which of the branches at this message is shown, and the way to the others.
export function Branches({ message }: { message: Message }) {
  const all = siblings(conversation.value, message);
  if (all.length < 2) return null;
  const at = all.findIndex((m) => m.id === message.id);
  return (
    <span class="branches">
      <IconButton icon="left" label="Previous branch" disabled={at === 0} onClick={() => showBranch(all[at - 1])} />
      <span aria-label={`Branch ${at + 1} of ${all.length}`}>{at + 1}/{all.length}</span>
      <IconButton icon="right" label="Next branch" disabled={at === all.length - 1} onClick={() => showBranch(all[at + 1])} />
    </span>
  );
}

function QuestionEditor({ message, onClose }: { message: Message; onClose: () => void }) {
  const [text, setText] = useState(message.text);
  const submit = () => {
    if (text.trim()) editQuestion(message, text);
    onClose();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Escape") onClose();
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      submit();
    }
  };
  return (
    <div class="editor">
      <textarea
        aria-label="Edit the message" autofocus rows={Math.min(12, text.split("\n").length + 1)} value={text}
        onInput={(e) => setText(e.currentTarget.value)} onKeyDown={onKeyDown}
      />
      <footer>
        <button type="button" onClick={onClose}>Cancel</button>
        <button type="button" class="primary" onClick={submit}>Ask as a new branch</button>
      </footer>
    </div>
  );
}

function Question({ message }: { message: Message }) {
  const [isEdited, setEdited] = useState(false);
  if (isEdited) return <QuestionEditor message={message} onClose={() => setEdited(false)} />;
  return (
    <>
      <div class="bubble">{message.text}</div>
      <div class="actions">
        <Branches message={message} />
        <IconButton icon="edit" label="Edit" class="edit-question" onClick={() => setEdited(true)} />
        <IconButton icon="copy" label="Copy" onClick={() => copy(message.text)} />
      </div>
    </>
  );
}

export function MessageView({ message, isLast }: { message: Message; isLast: boolean }) {
  return (
    <article class={`message ${message.role}`} aria-label={message.role === "user" ? "You" : "The model"}>
      {message.role === "user" ? <Question message={message} /> : <AnswerView message={message} isLast={isLast} />}
    </article>
  );
}
