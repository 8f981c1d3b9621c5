// How a conversation asks: all that a request has besides the messages.
import type { Values } from "./parameters";

export interface Settings {
  model: string; // empty: the server's first
  system: string;
  format: "text" | "json_object" | "json_schema";
  schema: string; // JSON, for json_schema
  values: Values; // only what was set
  extra: string; // JSON object of further members; empty: none
  record: boolean; // ask for the alternatives and experts of each token
}

export const standardSettings: Settings = {
  model: "",
  system: "",
  format: "text",
  schema: '{\n  "type": "object",\n  "properties": {\n    "customer": {"type": "string", "maxLength": 40},\n    "quantity": {"type": "integer"}\n  },\n  "required": ["customer", "quantity"],\n  "additionalProperties": false\n}',
  values: {},
  extra: "",
  record: true,
};
