import { useEffect, useState } from "preact/hooks";

import { IconButton } from "./button";
import { copy } from "./clipboard";
import { purify } from "./markdown_html";

interface Props {
  code: string;
  language: string;
  isGrowing?: boolean; // not coloured yet
}

export function CodeBlock({ code, language, isGrowing = false }: Props) {
  const [html, setHtml] = useState<string | null>(null);
  useEffect(() => {
    let isCurrent = true;
    setHtml(null);
    if (!isGrowing && language) {
      void import("./highlight").then(({ highlight }) => {
        const coloured = highlight(code, language);
        if (isCurrent && coloured !== null) setHtml(purify(coloured));
      });
    }
    return () => void (isCurrent = false);
  }, [code, language, isGrowing]);
  return (
    <figure class="code">
      <figcaption>
        <span>{language || "text"}</span>
        <IconButton icon="copy" label="Copy code" onClick={() => copy(code)} />
      </figcaption>
      {/* Long lines scroll, so the block takes the focus of a keyboard. */}
      <pre tabIndex={0} aria-label={`Code, ${language || "text"}`}>
        {html === null ? <code>{code}</code> : <code dangerouslySetInnerHTML={{ __html: html }} />}
      </pre>
    </figure>
  );
}
