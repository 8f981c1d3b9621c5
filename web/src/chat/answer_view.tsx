import { useState } from "preact/hooks";

import type { Answer, Message } from "../model/conversation";
import { jsonOf } from "../model/json_answer";
import { IconButton } from "../ui/button";
import { copy } from "../ui/clipboard";
import { CodeBlock } from "../ui/code_block";
import { Icon } from "../ui/icon";
import { JsonTree } from "../ui/json_tree";
import { Markdown } from "../ui/markdown";
import { go } from "../ui/route";
import { AnswerNumbers } from "./answer_numbers";
import { Branches } from "./message_view";
import { regenerate, writers } from "./state";
import { inspect } from "../inside/state";

function AnswerText({ text, isJson, isGrowing }: { text: string; isJson: boolean; isGrowing: boolean }) {
  const [isRaw, setRaw] = useState(false);
  const value = isGrowing ? undefined : jsonOf(text);
  if (value === undefined) {
    return isJson ? <CodeBlock code={text} language="json" isGrowing={isGrowing} /> : <Markdown text={text} isGrowing={isGrowing} />;
  }
  return (
    <div class="json">
      <div class="segments" role="group" aria-label="Show as">
        <button type="button" aria-pressed={!isRaw} onClick={() => setRaw(false)}>Tree</button>
        <button type="button" aria-pressed={isRaw} onClick={() => setRaw(true)}>Text</button>
      </div>
      {isRaw ? <CodeBlock code={text} language="json" /> : <JsonTree value={value} />}
    </div>
  );
}

const kFinish: Record<string, string> = {
  length: "Cut off: the limit of tokens was reached.",
  content_filter: "Ended by the safety filter.",
};

function Trouble({ answer, isWriting }: { answer: Answer; isWriting: boolean }) {
  if (isWriting) return null;
  if (answer.state === "failed") {
    return (
      <p class="trouble" role="alert">
        <Icon name="warn" /> {answer.error}
      </p>
    );
  }
  const note =
    answer.state === "writing" ? "The page was closed while this was written." :
    answer.state === "stopped" ? "Stopped." : kFinish[answer.finish];
  return note ? <p class="note">{note}</p> : null;
}

export function AnswerView({ message, isLast }: { message: Message; isLast: boolean }) {
  const writer = writers.value.get(message.id);
  void writer?.frame.value; // renders again with each frame that has news
  const answer = message.answer!;
  const text = writer ? writer.text : message.text;
  const timing = writer ? writer.timing() : answer.timing;
  const hasTrace = writer ? writer.hasTrace : answer.trace !== null;
  const openInside = () => {
    inspect(message.id);
    go("inside");
  };
  return (
    <>
      <div class="answer" aria-busy={writer !== undefined}>
        {writer && !text ? <span class="waiting" role="status">Waiting for the first token</span> : null}
        {text ? <AnswerText text={text} isJson={answer.json} isGrowing={writer !== undefined} /> : null}
        <Trouble answer={answer} isWriting={writer !== undefined} />
      </div>
      <div class={isLast ? "actions shown" : "actions"}>
        <Branches message={message} />
        {writer ? null : (
          <>
            <IconButton icon="again" label="Regenerate" onClick={() => regenerate(message)} />
            <IconButton icon="copy" label="Copy" onClick={() => copy(text)} />
          </>
        )}
        {hasTrace ? <IconButton icon="inside" label="Look inside this answer" onClick={openInside} /> : null}
        {timing ? <AnswerNumbers timing={timing} seed={answer.seed} /> : null}
      </div>
    </>
  );
}
