// Above the ledger: show the claims of one article, of one verdict, or with certain words. The address may ask for
// an article and a verdict, as the counts of the summary do: ledger.html?article=001&verdict=refuted
function addLedgerFilter(table) {
  const rows = [...table.tBodies[0].rows].map((row) => ({
    row,
    article: row.querySelector(".claim-id").textContent.slice(0, 3),
    verdict: row.querySelector(".verdict").textContent,
    text: row.textContent.toLowerCase(),
  }));
  const asked = new URLSearchParams(window.location.search);
  const filter = document.createElement("div");
  filter.className = "ledger-filter";
  const count = document.createElement("output");

  function add(control) {
    const label = document.createElement("label");
    control.addEventListener("input", update);
    label.append(control);
    filter.append(label);
    return control;
  }

  const selects = ["article", "verdict"].map((field) => {
    const select = document.createElement("select");
    const values = [...new Set(rows.map((entry) => entry[field]))].sort();
    select.name = field;
    select.setAttribute("aria-label", field);
    select.append(new Option(`every ${field}`, ""), ...values.map((value) => new Option(value)));
    select.value = values.includes(asked.get(field)) ? asked.get(field) : "";
    return add(select);
  });
  const search = document.createElement("input");
  search.type = "search";
  search.placeholder = "words";
  search.setAttribute("aria-label", "words");
  add(search);

  function update() {
    const words = search.value.toLowerCase().split(/\s+/);
    let shown = 0;
    for (const entry of rows) {
      const fits = selects.every(({ name, value }) => !value || entry[name] === value)
        && words.every((word) => entry.text.includes(word));
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
