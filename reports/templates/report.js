// Sorting and copying; without scripts every table is there, sorted worst first.
"use strict";

const value = (row, column) => row.cells[column].dataset.sort ?? row.cells[column].textContent.trim();

function compare(a, b) {
  const [x, y] = [a, b].map(Number);
  if (Number.isNaN(x) || Number.isNaN(y)) return a < b ? -1 : Number(a > b);
  return x === y ? 0 : x - y; // two infinities have no difference
}

function sort(table, column, header) {
  const down = header.getAttribute("aria-sort") !== "descending";
  table.querySelectorAll("th[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
  header.setAttribute("aria-sort", down ? "descending" : "ascending");
  const rows = [...table.tBodies[0].rows];
  rows.sort((a, b) => (down ? -1 : 1) * compare(value(a, column), value(b, column)));
  table.tBodies[0].append(...rows);
}

for (const table of document.querySelectorAll("table.sortable")) {
  for (const header of table.querySelectorAll("th[data-column]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    button.addEventListener("click", () => sort(table, Number(header.dataset.column), header));
    header.append(button);
  }
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Some browsers refuse the clipboard to a page opened from a file.
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (!done) throw new Error("no clipboard");
  }
}

for (const block of document.querySelectorAll(".copyable")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.setAttribute("aria-live", "polite");
  button.addEventListener("click", async () => {
    const said = await copy(block.querySelector("code").textContent).then(() => "Copied", () => "Select and copy");
    button.textContent = said;
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  block.append(button);
}
