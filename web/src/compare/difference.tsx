import { diffWordsWithSpace } from "diff";
import { useMemo } from "preact/hooks";

// `text` with what `base` does not have marked; and how much of it that is, 0 to 1.
export function differences(base: string, text: string): { pieces: { text: string; isNew: boolean }[]; share: number } {
  const pieces = diffWordsWithSpace(base, text).filter((part) => !part.removed).map((part) => ({ text: part.value, isNew: part.added }));
  const changed = pieces.filter((p) => p.isNew).reduce((sum, p) => sum + p.text.length, 0);
  return { pieces, share: text.length ? changed / text.length : 0 };
}

export function Difference({ base, text }: { base: string; text: string }) {
  const { pieces } = useMemo(() => differences(base, text), [base, text]);
  return (
    <div class="difference">
      {pieces.map((piece, i) => (piece.isNew ? <mark key={i}>{piece.text}</mark> : <span key={i}>{piece.text}</span>))}
    </div>
  );
}
