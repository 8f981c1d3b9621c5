import { useEffect, useState } from "preact/hooks";

import { ApiFailure, getJson } from "../api/client";
import { connection } from "../api/connection";
import { apiKey } from "../api/key";
import { adopt } from "../chat/state";
import { formatMs } from "../chat/answer_numbers";
import { messagesOf, type RecentRequest, settingsOf, withNewest } from "../model/recent_request";
import { go } from "../ui/route";

const kPauseMs = 250; // without typing
const kAgainMs = 3000;
const kPage = 50;

interface Page {
  data: RecentRequest[];
  has_more: boolean;
}

const addressOf = (search: string, after?: RecentRequest) =>
  `/dbrx/v1/requests?${new URLSearchParams({ limit: String(kPage), ...(search ? { search } : {}), ...(after ? { after: String(after.cursor) } : {}) })}`;

function openInChat(request: RecentRequest): void {
  adopt(messagesOf(request), settingsOf(request));
  go("chat");
}

function firstWords(request: RecentRequest): string {
  const question = messagesOf(request).filter((m) => m.role === "user").at(-1);
  return question?.content.replace(/\s+/g, " ").slice(0, 120) ?? (request.error || "text not kept");
}

function Row({ request }: { request: RecentRequest }) {
  const canOpen = messagesOf(request).length > 0;
  const { usage } = request;
  return (
    <tr class={request.status >= 400 ? "failed" : ""}>
      <td>{new Date(request.at * 1000).toLocaleTimeString("en-GB")}</td>
      <td class="wide-cell">
        {canOpen ? (
          <button type="button" title="Open in the chat" onClick={() => openInChat(request)}>{firstWords(request)}</button>
        ) : (
          <span class="note">{firstWords(request)}</span>
        )}
      </td>
      <td>{request.route}</td>
      <td>{request.key ?? "–"}</td>
      <td>{request.status}</td>
      <td class="number">{usage.prompt_tokens}{usage.cached_tokens ? ` (${usage.cached_tokens})` : ""}</td>
      <td class="number">{usage.completion_tokens}</td>
      <td class="number">{formatMs(request.seconds * 1000)}</td>
    </tr>
  );
}

interface Shown {
  rows: RecentRequest[];
  most: number; // so many at most, which grows when older ones are asked for
  hasOlder: boolean;
}

function refreshed(shown: Shown | null, newest: Page): Shown {
  const most = shown?.most ?? kPage;
  const rows = withNewest(shown?.rows ?? [], newest.data);
  const hasOlder = rows.length > newest.data.length ? shown!.hasOlder : newest.has_more;
  return { rows: rows.slice(0, most), most, hasOlder: hasOlder || rows.length > most };
}

// The newest requests, again every few seconds; older ones are added on demand.
export function RecentRequests() {
  const [search, setSearch] = useState("");
  const [shown, setShown] = useState<Shown | null>(null);
  const [trouble, setTrouble] = useState("");
  const returns = connection.returns.value;
  const key = apiKey.value;

  useEffect(() => {
    const controller = new AbortController();
    let timer = setTimeout(look, search ? kPauseMs : 0);
    async function look(): Promise<void> {
      try {
        const newest = await getJson<Page>(addressOf(search), controller.signal);
        setShown((before) => refreshed(before, newest));
        setTrouble("");
      } catch (error) {
        if (controller.signal.aborted) return;
        if (error instanceof ApiFailure && error.kind === "refused") return setTrouble(error.message);
      }
      timer = setTimeout(look, kAgainMs);
    }
    return () => {
      clearTimeout(timer);
      controller.abort();
      setShown(null);
    };
  }, [search, returns, key]);

  const more = async (last: RecentRequest) => {
    setShown((now) => now && { ...now, most: now.most + kPage });
    const older = await getJson<Page>(addressOf(search, last)).catch(() => null);
    setShown((now) => now && older && now.rows.at(-1)?.cursor === last.cursor ? { ...now, rows: [...now.rows, ...older.data], hasOlder: older.has_more } : now);
  };
  return (
    <section class="card">
      <header>
        <h2>Recent requests</h2>
        <input class="search" type="search" placeholder="Search texts, ids, keys" aria-label="Search requests" value={search} onInput={(e) => setSearch(e.currentTarget.value)} />
      </header>
      {trouble ? <p class="note">{trouble}</p> : (
        <div class="table" tabIndex={0} role="region" aria-label="Recent requests">
          <table>
            <thead><tr><th>Time</th><th>Question</th><th>Route</th><th>Key</th><th>Status</th><th class="number">Prompt (cached)</th><th class="number">Answer</th><th class="number">Took</th></tr></thead>
            <tbody>{shown?.rows.map((r) => <Row key={r.cursor} request={r} />)}</tbody>
          </table>
          {shown?.rows.length === 0 ? <p class="note">{search ? "None has that." : "None yet."}</p> : null}
          {shown?.hasOlder ? <button type="button" onClick={() => more(shown.rows.at(-1)!)}>Older ones</button> : null}
        </div>
      )}
    </section>
  );
}
