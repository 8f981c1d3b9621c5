// The models that the server has, and the context of each.
import { signal } from "@preact/signals";

import { getJson } from "./client";
import { connection } from "./connection";
import type { ModelList } from "./types";

export const models = signal<ModelList["data"]>([]);

export async function loadModels(): Promise<void> {
  try {
    models.value = (await getJson<ModelList>("/v1/models")).data;
  } catch {
    models.value = []; // the banner says why; asked again when the server is back
  }
}

// Now, and whenever the server comes back: it may be another one.
export function watchModels(): void {
  connection.returns.subscribe(() => void loadModels());
}
