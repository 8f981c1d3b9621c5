import { memo } from "preact/compat";

import { CodeBlock } from "./code_block";
import { type Block, blocksOf, htmlOf } from "./markdown_html";

const HtmlBlock = memo(({ raw }: { raw: string }) => <div dangerouslySetInnerHTML={{ __html: htmlOf(raw) }} />);

function BlockView({ block, isGrowing }: { block: Block; isGrowing: boolean }) {
  if (block.kind === "html") return <HtmlBlock raw={block.raw} />;
  return <CodeBlock code={block.code} language={block.language} isGrowing={isGrowing} />;
}

export function Markdown({ text, isGrowing }: { text: string; isGrowing: boolean }) {
  const blocks = blocksOf(text);
  return (
    <div class="markdown">
      {blocks.map((block, i) => (
        <BlockView key={i} block={block} isGrowing={isGrowing && i === blocks.length - 1} />
      ))}
    </div>
  );
}
