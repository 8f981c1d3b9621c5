// A request as programs that run as they are. Each asks once, not streamed, and prints the answer.
import { type Body, toJson } from "./request";

export type Dialect = "curl" | "openai-python" | "openai-node" | "databricks";

export const dialects: { id: Dialect; label: string; language: string }[] = [
  { id: "curl", label: "curl", language: "bash" },
  { id: "openai-python", label: "openai · Python", language: "python" },
  { id: "openai-node", label: "openai · Node", language: "javascript" },
  { id: "databricks", label: "Databricks", language: "python" },
];

// A JSON value as Python writes it: JSON's strings are Python's, its three words are not.
export function toPython(value: unknown, indent = 0): string {
  const pad = " ".repeat(indent + 4);
  const close = " ".repeat(indent);
  if (value === null || value === undefined) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  // Outside the basic plane JSON writes surrogates, which Python's strings can't hold.
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "number") return String(value);
  const items = Array.isArray(value)
    ? value.map((item) => pad + toPython(item, indent + 4))
    : Object.entries(value as object).map(([k, v]) => `${pad}${JSON.stringify(k)}: ${toPython(v, indent + 4)}`);
  const [open, end] = Array.isArray(value) ? "[]" : "{}";
  return items.length ? `${open}\n${items.join(",\n")},\n${close}${end}` : open + end;
}

// Names that the openai packages have as arguments; others go where these let them.
const kOpenAi = new Set([
  "model", "messages", "temperature", "top_p", "n", "seed", "stop", "max_tokens", "presence_penalty",
  "frequency_penalty", "logit_bias", "response_format", "tools", "tool_choice", "parallel_tool_calls",
]);

const seedOrValue = (name: string, value: unknown, indent: number) =>
  name === "seed" ? String(value) : toPython(value, indent);

function pythonArguments(body: Body): string {
  const known = Object.entries(body).filter(([name]) => kOpenAi.has(name));
  const more = Object.fromEntries(Object.entries(body).filter(([name]) => !kOpenAi.has(name)));
  const lines = known.map(([name, value]) => `    ${name}=${seedOrValue(name, value, 4)},`);
  if (Object.keys(more).length) lines.push(`    extra_body=${toPython(more, 4)},`);
  return lines.join("\n");
}

const quoteShell = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

export function snippet(dialect: Dialect, body: Body, origin: string): string {
  switch (dialect) {
    case "curl":
      return `curl -sS ${origin}/v1/chat/completions \\
  -H "Authorization: Bearer \${DBRX_API_KEY:-none}" \\
  -H 'Content-Type: application/json' \\
  -d ${quoteShell(toJson(body, 2))}
`;
    case "openai-python":
      return `# pip install openai
import os

from openai import OpenAI

client = OpenAI(base_url="${origin}/v1", api_key=os.environ.get("DBRX_API_KEY", "none"))
answer = client.chat.completions.create(
${pythonArguments(body)}
)
print(answer.choices[0].message.content)
`;
    case "openai-node":
      return `// npm install openai; save as ask.mjs
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "${origin}/v1", apiKey: process.env.DBRX_API_KEY ?? "none" });
const answer = await client.chat.completions.create(${nodeBody(body)});
console.log(answer.choices[0].message.content);
`;
    case "databricks":
      return `# pip install mlflow
import os

os.environ.setdefault("DATABRICKS_HOST", "${origin}")
os.environ.setdefault("DATABRICKS_TOKEN", os.environ.get("DBRX_API_KEY", "none"))

from mlflow.deployments import get_deploy_client

client = get_deploy_client("databricks")
answer = client.predict(
    endpoint=${toPython(body.model)},
    inputs=${databricksInputs(body)},
)
print(answer["choices"][0]["message"]["content"])
`;
  }
}

// JavaScript's numbers can't hold a seed of 64 bits, so a longer one is left to curl and Python.
function nodeBody(body: Body): string {
  const { seed, ...rest } = body;
  const isSafe = seed === undefined || Number.isSafeInteger(Number(seed));
  const text = toJson(isSafe ? body : rest, 2);
  return isSafe ? text : `{\n  // seed: ${seed} is more than a number of JavaScript can hold\n${text.slice(2)}`;
}

function databricksInputs(body: Body): string {
  const { model: _, seed, ...inputs } = body;
  const text = toPython(inputs, 4);
  return seed === undefined ? text : `{\n        "seed": ${seed},\n${text.slice(2)}`;
}
