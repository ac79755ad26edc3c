"use strict";
// Tables that sort: by a click on a heading, missing values always last.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const value = (row, at) => row.cells[at].dataset.v ?? row.cells[at].textContent.trim();
  const sort = (at, kind, up) => {
    const rows = [...table.tBodies[0].rows];
    const compare = kind === "number"
      ? (x, y) => Number(x) - Number(y)
      : (x, y) => x.localeCompare(y, undefined, { numeric: true, sensitivity: "base" });
    rows.sort((r, s) => {
      const x = value(r, at), y = value(s, at);
      if (x === "" || y === "") return (x === "") - (y === "");
      return up ? compare(x, y) : compare(y, x);
    });
    table.tBodies[0].append(...rows);
  };
  heads.forEach((head, at) => {
    const button = head.querySelector("button");
    button.addEventListener("click", () => {
      const kind = button.dataset.kind, now = head.getAttribute("aria-sort");
      // Numbers are looked at from the largest down.
      const up = now ? now === "descending" : kind !== "number";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      sort(at, kind, up);
    });
  });
}
