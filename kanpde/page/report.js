"use strict";
// A click on a heading sorts its table by that column; a second click turns the order around. What is missing comes last.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      const key = (row) => row.cells[column].dataset.key;
      const rows = [...table.tBodies[0].rows];
      rows.sort((a, b) => {
        const [p, q] = [key(a), key(b)];
        if (p === "" || q === "") return (p === "") - (q === "");
        const order = isNaN(p) || isNaN(q) ? p.localeCompare(q, "en", { numeric: true }) : Number(p) - Number(q);
        return sign * order;
      });
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
      table.tBodies[0].append(...rows);
    });
  });
}
