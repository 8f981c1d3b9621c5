import { looks, statsTrouble, useStats } from "../api/stats";
import { Charts } from "./charts";
import { KeyTable } from "./key_table";
import { RecentRequests } from "./recent_requests";
import { Tiles } from "./tiles";

export function ServerPage() {
  useStats();
  const last = looks.value.at(-1);
  return (
    <div class="page">
      <header class="bar"><h2>Server</h2>{last ? <span class="note">each second</span> : null}</header>
      <div class="content">
        {statsTrouble.value ? <p class="card note">{statsTrouble.value}</p> : null}
        {last ? (
          <div class="server">
            <Tiles stats={last} />
            <Charts looks={looks.value} />
            <KeyTable keys={last.keys} />
            <RecentRequests />
          </div>
        ) : statsTrouble.value ? <RecentRequests /> : <p class="note">Waiting for the server’s numbers.</p>}
      </div>
    </div>
  );
}
