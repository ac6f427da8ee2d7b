"use strict";

// Tables sort by the values of their cells: numbers as numbers, text as text, empty cells last either way.
for (const table of document.querySelectorAll("table")) {
  const headings = table.querySelectorAll("thead th");
  const body = table.tBodies[0];
  const sort = (column) => {
    const down = headings[column].getAttribute("aria-sort") === "ascending";
    const numeric = headings[column].classList.contains("number");
    const key = (text) => (text === "" ? null : numeric ? toNumber(text) : text);
    const rows = [...body.rows].map((row) => ({ row, key: key(row.cells[column].dataset.value) }));
    const compare = numeric ? (a, b) => (a > b) - (a < b) : new Intl.Collator(undefined, { numeric: true }).compare;
    rows.sort((a, b) => {
      if (a.key === null || b.key === null) return (a.key === null) - (b.key === null);
      return down ? compare(b.key, a.key) : compare(a.key, b.key);
    });
    for (const heading of headings) heading.removeAttribute("aria-sort");
    headings[column].setAttribute("aria-sort", down ? "descending" : "ascending");
    body.append(...rows.map(({ row }) => row));
  };
  for (const button of table.querySelectorAll("thead button")) {
    button.addEventListener("click", () => sort(Number(button.dataset.column)));
  }
}

function toNumber(text) {
  return text === "inf" ? Infinity : text === "-inf" ? -Infinity : Number(text);
}

const data = document.getElementById("data").textContent;
const save = document.getElementById("save");
save.hidden = data === "null";
save.addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([data], { type: "application/json" }));
  link.download = document.title.toLowerCase().replace(/[^a-z0-9]+/g, "-") + ".json";
  link.click();
  URL.revokeObjectURL(link.href);
});

// What is folded is printed too.
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((fold) => (fold.open = true)));
