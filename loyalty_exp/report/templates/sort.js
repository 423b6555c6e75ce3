// Makes the columns of long tables sortable; the tables are complete without it.
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  if (!body || body.rows.length < 3) continue;
  const fixed = (row) => row.matches(".holdout, .total");
  [...table.tHead.rows[0].cells].forEach((head, index) => {
    if (head.tagName !== "TH") return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") !== "descending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => {
        const cell = row.cells[index];
        return cell.dataset.value === undefined ? cell.textContent.trim() : Number(cell.dataset.value);
      };
      const rows = [...body.rows];
      const moving = rows.filter((row) => !fixed(row));
      moving.sort((one, other) => {
        const a = key(one), b = key(other);
        const order = typeof a === "number" && typeof b === "number"
          ? a - b
          : String(a).localeCompare(String(b), document.documentElement.lang, { numeric: true });
        return down ? -order : order;
      });
      body.append(...moving, ...rows.filter(fixed));
    });
  });
}
