import { useId } from "preact/hooks";

import { models } from "../api/models";
import { parameters } from "../model/parameters";
import { records } from "../model/request";
import type { Settings } from "../model/settings";
import { ParameterField } from "./parameter_field";

interface Props {
  settings: Settings;
  onChange: (change: Partial<Settings>) => void;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function JsonArea({ label, note, text, onInput }: { label: string; note: string; text: string; onInput: (text: string) => void }) {
  const id = useId();
  const isWrong = text.trim() !== "" && !isJson(text);
  return (
    <div class="parameter">
      <label for={id}>{label}</label>
      <textarea
        id={id} class="mono" rows={Math.min(12, text.split("\n").length + 1)} value={text} spellcheck={false} aria-invalid={isWrong}
        aria-describedby={`${id}-note`} onInput={(e) => onInput(e.currentTarget.value)}
      />
      <small id={`${id}-note`} class={isWrong ? "error" : ""}>{isWrong ? "This is no JSON yet" : note}</small>
    </div>
  );
}

function ModelField({ settings, onChange }: Props) {
  return (
    <label class="field">
      <span>Model</span>
      <select value={settings.model || models.value[0]?.id} onChange={(e) => onChange({ model: e.currentTarget.value })}>
        {models.value.map(({ id }) => <option key={id} value={id}>{id}</option>)}
      </select>
    </label>
  );
}

function FormatField({ settings, onChange }: Props) {
  return (
    <>
      <label class="field">
        <span>Answer</span>
        <select value={settings.format} onChange={(e) => onChange({ format: e.currentTarget.value as Settings["format"] })}>
          <option value="text">Text</option>
          <option value="json_object">JSON object</option>
          <option value="json_schema">JSON with a schema</option>
        </select>
      </label>
      {settings.format === "json_schema" ? (
        <JsonArea label="Schema" note="the answer always satisfies it" text={settings.schema} onInput={(schema) => onChange({ schema })} />
      ) : null}
    </>
  );
}

function Group({ name, settings, onChange }: Props & { name: string }) {
  const members = parameters.filter((p) => p.group === name);
  const nSet = members.filter((p) => settings.values[p.name] !== undefined).length;
  return (
    <details class="group" open={name === "Sampling"}>
      <summary>{name}{nSet ? <span class="badge">{nSet} set</span> : null}</summary>
      {members.map((p) => (
        <ParameterField
          key={p.name} parameter={p} value={settings.values[p.name]}
          onChange={(value) => onChange({ values: withValue(settings, p.name, value) })}
        />
      ))}
    </details>
  );
}

function withValue({ values }: Settings, name: string, value: Settings["values"][string] | undefined) {
  const { [name]: _, ...rest } = values;
  return value === undefined ? rest : { ...rest, [name]: value };
}

// All that a request has besides its messages.
export function SettingsForm(props: Props) {
  const { settings, onChange } = props;
  const id = useId();
  const isSafe = settings.values.enable_safety_filter === true;
  return (
    <div class="settings-form">
      <ModelField {...props} />
      <div class="parameter">
        <label for={id}>System prompt</label>
        <textarea id={id} rows={3} value={settings.system} placeholder="the model's own" onInput={(e) => onChange({ system: e.currentTarget.value })} />
      </div>
      <FormatField {...props} />
      {["Sampling", "Penalties", "Length and stops", "Other"].map((name) => <Group key={name} name={name} {...props} />)}
      <JsonArea label="More of the request" note="JSON object: tools, structured_outputs, ..." text={settings.extra} onInput={(extra) => onChange({ extra })} />
      <label class="switch">
        <input type="checkbox" role="switch" disabled={isSafe} checked={records(settings)} onChange={(e) => onChange({ record: e.currentTarget.checked })} />
        <span>Record for Inside<small>{isSafe ? "not beside the safety filter" : "each token's alternatives and experts"}</small></span>
      </label>
      <button type="button" onClick={() => onChange({ values: {}, extra: "", format: "text" })}>Back to the defaults</button>
    </div>
  );
}
