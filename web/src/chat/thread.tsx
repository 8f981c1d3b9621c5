import { useLayoutEffect, useRef } from "preact/hooks";

import { Composer } from "./composer";
import { MessageView } from "./message_view";
import { shown, writers } from "./state";
import { Welcome } from "./welcome";

const kNearPx = 80; // this close to the end, the view follows what is written

export function Thread() {
  const scroller = useRef<HTMLDivElement>(null);
  const follows = useRef(true);
  const messages = shown.value;
  const last = messages.at(-1);
  const writer = last && writers.value.get(last.id);
  const frame = writer?.frame.value;

  useLayoutEffect(() => {
    const box = scroller.current!;
    if (follows.current) box.scrollTop = box.scrollHeight;
  }, [frame, messages.length, last?.id, last?.text]);

  const onScroll = (event: Event) => {
    const box = event.currentTarget as HTMLElement; // also when it comes after the page has gone
    follows.current = box.scrollHeight - box.scrollTop - box.clientHeight < kNearPx;
  };
  return (
    <section class="thread" aria-label="Conversation">
      <div class="scroller" ref={scroller} onScroll={onScroll} tabIndex={0} role="log" aria-label="Messages">
        {messages.length === 0 ? <Welcome /> : null}
        <div class="column">
          {messages.map((message) => (
            <MessageView key={message.id} message={message} isLast={message === last} />
          ))}
        </div>
      </div>
      <div class="column">
        <Composer />
      </div>
    </section>
  );
}
