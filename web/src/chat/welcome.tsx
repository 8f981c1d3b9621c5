import { Mark } from "../ui/icon";
import { modelName, send } from "./state";

const kSamples = [
  { title: "Who are you?", prompt: "Who are you?" },
  {
    title: "Take fields out of a text",
    prompt: "Extract customer, quantity as JSON.\n\nVelma Sorn in Tarvik ordered 12 pieces of the Dolka lamp, order ORD-4711.",
  },
  { title: "Complete a function", prompt: "Complete this Python function:\n\ndef double(x):\n    \"\"\"Return two times x.\"\"\"" },
  { title: "A small sum", prompt: "What is 17 plus 25?" },
];

export function Welcome() {
  return (
    <div class="welcome">
      <Mark size={56} />
      <h1>{modelName.value || "dbrx"}</h1>
      <p>Sixteen experts in every layer, four answer each token. Ask something, then look inside.</p>
      <div class="samples">
        {kSamples.map(({ title, prompt }) => (
          <button type="button" key={title} onClick={() => send(prompt)}>
            <strong>{title}</strong>
            <span>{prompt === title ? "Small talk" : prompt.split("\n")[0]}</span>
          </button>
        ))}
      </div>
    </div>
  );
}
