// Two drop-downs above the ledger: show the claims of one article, or of one verdict.
function addLedgerFilter(table) {
  const rows = [...table.tBodies[0].rows].map((row) => ({
    row,
    article: row.querySelector(".claim-id").textContent.slice(0, 3),
    verdict: row.querySelector(".verdict").textContent,
  }));
  const filter = document.createElement("div");
  filter.className = "ledger-filter";
  const count = document.createElement("output");

  const selects = ["article", "verdict"].map((field) => {
    const label = document.createElement("label");
    const select = document.createElement("select");
    const values = [...new Set(rows.map((entry) => entry[field]))].sort();
    select.name = field;
    select.append(new Option(`every ${field}`, ""), ...values.map((value) => new Option(value)));
    select.addEventListener("change", update);
    label.append(select);
    filter.append(label);
    return select;
  });

  function update() {
    let shown = 0;
    for (const entry of rows) {
      const fits = selects.every(({ name, value }) => !value || entry[name] === value);
      entry.row.hidden = !fits;
      shown += fits;
    }
    count.textContent = `${shown} of ${rows.length} claims`;
  }

  filter.append(count);
  table.before(filter);
  update();
}

document.querySelectorAll("table.ledger").forEach(addLedgerFilter);
