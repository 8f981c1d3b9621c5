// The conversation at hand and those before it; all that the chat can do.
import { computed, signal } from "@preact/signals";

import { ask, tokenize } from "../api/ask";
import { models } from "../api/models";
import type { ChatMessage } from "../api/types";
import * as tree from "../model/conversation";
import type { Answer, Conversation, Message } from "../model/conversation";
import { exportText, importText } from "../model/exchange";
import { HistoryStore, type Summary } from "../model/history_store";
import { type Body, records, streamedBody } from "../model/request";
import type { Settings } from "../model/settings";
import { standardSettings } from "../model/settings";
import { Writer } from "../model/writer";
import { download } from "../ui/files";
import { toast } from "../ui/toast";

const store = new HistoryStore();

const kSettings = "dbrx-settings"; // of the next conversation: those of the last one

export const conversation = signal<Conversation>(tree.newConversation(lastSettings()));
export const summaries = signal<Summary[]>([]);
// Answers that are being written, by their message's id.
export const writers = signal<ReadonlyMap<string, Writer>>(new Map());
export const shown = computed(() => tree.path(conversation.value));
export const isWriting = computed(() => shown.value.some((m) => writers.value.has(m.id)));
export const modelName = computed(() => conversation.value.settings.model || models.value[0]?.id || "");

const stops = new Map<string, AbortController>(); // by message id

export async function loadHistory(): Promise<void> {
  try {
    summaries.value = await store.list();
  } catch {
    toast("This browser keeps no history: private window or no space.");
  }
}

function lastSettings(): Settings {
  try {
    return { ...standardSettings, ...JSON.parse(localStorage.getItem(kSettings) ?? "{}") };
  } catch {
    return standardSettings;
  }
}

export function changeSettings(change: Partial<Settings>): void {
  const settings = { ...conversation.value.settings, ...change };
  conversation.value = { ...conversation.value, settings };
  localStorage.setItem(kSettings, JSON.stringify(settings));
  void save(conversation.value);
}

async function save(c: Conversation): Promise<void> {
  if (Object.keys(c.messages).length === 0) return;
  try {
    summaries.value = await store.save(c);
  } catch {
    toast("This conversation could not be kept: the browser has no space for it.");
  }
}

export function startNew(): void {
  conversation.value = tree.newConversation(lastSettings());
}

// Opens a conversation that came from somewhere else, and keeps it.
export function adopt(messages: ChatMessage[], settings: Partial<Settings>): void {
  let made = tree.newConversation({ ...standardSettings, ...settings });
  let parent: string | null = null;
  for (const { role, content } of messages) {
    if (role === "system") {
      made = { ...made, settings: { ...made.settings, system: content } };
      continue;
    }
    const message: Message = { id: tree.newId(), parent, role, text: content, at: Date.now(), answer: null };
    if (role === "assistant") message.answer = new Writer(message.id, false).answer("complete");
    made = tree.withMessage(made, message);
    parent = message.id;
  }
  conversation.value = made;
  void save(made);
}

export async function open(id: string): Promise<void> {
  if (id === conversation.value.id) return;
  const found = await store.load(id);
  if (found) conversation.value = { ...found, settings: { ...standardSettings, ...found.settings } };
}

export async function remove(id: string): Promise<void> {
  for (const message of Object.values(conversation.value.messages)) {
    if (id === conversation.value.id) stops.get(message.id)?.abort();
  }
  summaries.value = await store.remove(id);
  if (id === conversation.value.id) startNew();
}

// Changes a conversation that may no longer be the one shown.
async function edit(id: string, change: (c: Conversation) => Conversation): Promise<void> {
  const kept = conversation.value.id === id ? undefined : await store.load(id);
  if (conversation.value.id === id) {
    conversation.value = change(conversation.value);
    await save(conversation.value);
  } else if (kept) {
    await save(change(kept));
  }
}

export function send(text: string): void {
  const parent = shown.value.at(-1)?.id ?? null;
  answer(addQuestion(text, parent));
}

export function editQuestion(message: Message, text: string): void {
  answer(addQuestion(text, message.parent));
}

function addQuestion(text: string, parent: string | null): string {
  const message: Message = { id: tree.newId(), parent, role: "user", text, at: Date.now(), answer: null };
  conversation.value = tree.withMessage(conversation.value, message);
  return message.id;
}

export function regenerate(message: Message): void {
  if (message.parent !== null) answer(message.parent);
}

export function showBranch(message: Message): void {
  conversation.value = tree.choose(conversation.value, message);
  void save(conversation.value);
}

export function stop(): void {
  for (const message of shown.value) stops.get(message.id)?.abort();
}

// Asks for answers to the question `parent`: one branch per choice.
function answer(parent: string): void {
  const { id, settings } = conversation.value;
  const messages = tree.history(conversation.value, parent);
  const isJson = settings.format !== "text";
  let body: Body;
  try {
    body = streamedBody(settings, messages, modelName.value);
  } catch (error) {
    addAnswer(parent, new Writer(tree.newId(), isJson), (error as Error).message);
    return;
  }
  const nChoices = typeof body.n === "number" ? body.n : 1;
  const added = Array.from({ length: nChoices }, () => new Writer(tree.newId(), isJson));
  for (const writer of added) addAnswer(parent, writer, "");
  showBranch(conversation.value.messages[added[0].id]);
  const controller = new AbortController();
  for (const writer of added) stops.set(writer.id, controller);
  writers.value = new Map([...writers.value, ...added.map((w) => [w.id, w] as const)]);
  const isRecorded = records(settings);
  const plain = isRecorded ? streamedBody({ ...settings, record: false }, messages, modelName.value) : null;
  void run(id, body, plain, added, controller.signal);
}

function addAnswer(parent: string, writer: Writer, error: string): void {
  const state: Answer["state"] = error ? "failed" : "writing";
  conversation.value = tree.withMessage(conversation.value, {
    id: writer.id, parent, role: "assistant", text: "", at: Date.now(), answer: writer.answer(state, error),
  });
  void save(conversation.value);
}

// Asks for the texts of the prompt's tokens, which the answer does not have.
async function namePrompt(messages: ChatMessage[], model: string, added: Writer[]): Promise<void> {
  try {
    const { token_strs: texts } = await tokenize(messages, model);
    for (const writer of added) writer.namePrompt(texts ?? []);
  } catch {
    // Without texts the words of the prompt stay nameless.
  }
}

const kRecorded = ["logprobs", "top_logprobs", "return_token_ids", "return_routed_experts"];

// plain: the same without recording, for a server that refuses it; null: nothing is recorded.
async function run(id: string, body: Body, plain: Body | null, added: Writer[], signal: AbortSignal): Promise<void> {
  const messages = body.messages as ChatMessage[];
  const naming = plain ? namePrompt(messages, String(body.model ?? ""), added) : null;
  let failure = await ask(body, added, signal);
  if (plain && failure?.param && kRecorded.includes(failure.param)) {
    toast("This server's safety filters allow no recording for Inside.");
    failure = await ask(plain, added, signal);
  }
  const state = !failure ? "complete" : failure.kind === "stopped" ? "stopped" : "failed";
  const error = state === "failed" ? failure!.message : "";
  await naming;
  await edit(id, (c) => {
    for (const writer of added) c = tree.withChange(c, writer.id, { text: writer.text, answer: writer.answer(state, error) });
    return c;
  });
  for (const writer of added) stops.delete(writer.id);
  writers.value = new Map([...writers.value].filter(([key]) => !added.some((w) => w.id === key)));
}

export async function exportAll(): Promise<void> {
  const all = await Promise.all(summaries.value.map((summary) => store.load(summary.id)));
  download("dbrx-conversations.json", exportText(all.filter((c) => c !== undefined)));
}

export function exportOne(): void {
  download(`dbrx-${conversation.value.title.replace(/\W+/g, "-").toLowerCase() || "chat"}.json`, exportText([conversation.value]));
}

export async function importFile(file: File): Promise<void> {
  try {
    const found = importText(await file.text());
    for (const c of found) await save(c);
    if (found.length) conversation.value = found[0];
    toast(`${found.length} conversation${found.length === 1 ? "" : "s"} imported.`);
  } catch (error) {
    toast(`Not imported: ${(error as Error).message}.`);
  }
}
