import { useState } from "preact/hooks";

import { history } from "../model/conversation";
import { type Body, plainBody } from "../model/request";
import { dialects, snippet } from "../model/snippets";
import { CodeBlock } from "../ui/code_block";
import { Dialog } from "../ui/dialog";
import { conversation, modelName, shown } from "./state";

// The conversation up to its last question.
function bodyOfConversation(): Body {
  const last = [...shown.value].reverse().find((m) => m.role === "user");
  const messages = last ? history(conversation.value, last.id) : [{ role: "user" as const, content: "Who are you?" }];
  return plainBody(conversation.value.settings, messages, modelName.value);
}

export function CodeDialog({ onClose }: { onClose: () => void }) {
  const [dialect, setDialect] = useState(dialects[0]);
  let code: string;
  try {
    code = snippet(dialect.id, bodyOfConversation(), location.origin);
  } catch (error) {
    code = (error as Error).message;
  }
  return (
    <Dialog title="This conversation as code" onClose={onClose} wide>
      <div class="segments" role="group" aria-label="Language">
        {dialects.map((d) => (
          <button type="button" key={d.id} aria-pressed={d === dialect} onClick={() => setDialect(d)}>{d.label}</button>
        ))}
      </div>
      <CodeBlock code={code} language={dialect.language} />
      <p class="note">Runs as it is. A key is taken from the environment: DBRX_API_KEY.</p>
    </Dialog>
  );
}
