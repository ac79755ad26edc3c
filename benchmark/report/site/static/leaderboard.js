"use strict";
// Filters, ranking and matrix, all made from the rows of the one table. Text goes in as text.
(() => {
  const form = document.getElementById("filters");
  const rows = [...document.querySelectorAll("#results tbody tr")];
  const cells = rows.map((row) => ({
    ...row.dataset, row,
    score: row.dataset.score === "" ? null : Number(row.dataset.score),
    control: "control" in row.dataset, partial: "partial" in row.dataset,
    complete: "complete" in row.dataset, mixed: "mixed" in row.dataset,
    edited: "edited" in row.dataset, aside: "aside" in row.dataset,
    text: `${row.dataset.method} ${row.dataset.label} ${row.dataset.data}`.toLowerCase(),
  }));
  const { metric } = document.documentElement.dataset;
  const sign = Number(document.documentElement.dataset.sign);  // -1 where lower is better
  const unranked = new Set();

  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === true) element.setAttribute(name, "");
      else if (value !== false && value !== null) element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  };
  const grouped = (items, key) => {
    const groups = new Map();
    for (const item of items) {
      if (!groups.has(key(item))) groups.set(key(item), []);
      groups.get(key(item)).push(item);
    }
    return groups;
  };
  const key = (...parts) => JSON.stringify(parts);
  const sourceName = (source) => (source === "published" ? "Published study" : "Own runs");
  const plural = (n, one) => `${n} ${one}${n === 1 ? "" : "s"}`;

  const passing = () => {
    const chosen = (name) => form.elements[name]?.value ?? "";
    const ticked = (name) => form.elements[name]?.checked ?? true;
    const text = chosen("text").trim().toLowerCase();
    const modality = chosen("modality");
    return cells.filter((c) =>
      (!text || c.text.includes(text)) &&
      (!modality || c.modality === (modality === "-" ? "" : modality)) &&
      (!chosen("source") || c.source === chosen("source")) &&
      (!chosen("protocol") || c.protocol === chosen("protocol")) &&
      (!chosen("domain") || c.domain === chosen("domain")) &&
      (ticked("controls") || !c.control) && (ticked("partial") || !c.partial) &&
      (ticked("demo") || c.mark !== "demo"));
  };

  // What may be set side by side, within one source and protocol: complete, and no control.
  const ranked = (c) => c.complete && c.score !== null && !c.control && !c.aside;
  const unit = (c) => key(c.data, c.split, c.images, c.truth);

  const averageRanks = (values) => values.map((v) => {
    const above = values.filter((w) => w > v).length, equal = values.filter((w) => w === v).length;
    return above + (equal + 1) / 2;
  });

  const rankings = (shown) => {
    const place = document.getElementById("ranking");
    place.replaceChildren();
    for (const [, group] of grouped(shown, (c) => key(c.source, c.protocol))) {
      const table = ranking(group);
      if (table) place.append(table);
    }
    if (!place.children.length) {
      place.append(make("p", { class: "small" },
        "Nothing to rank: no complete result of a method passes the filters."));
    }
  };

  const ranking = (group) => {
    const { source, protocol } = group[0];
    const methods = [...grouped(group.filter(ranked), (c) => c.method)].map(([name, all]) => {
      const byUnit = grouped(all, unit);
      const single = [...byUnit].filter(([, found]) => found.length === 1);
      return {
        name, id: key(source, protocol, name), numbers: new Map(single.map(([u, [c]]) => [u, c.score])),
        doubles: byUnit.size - single.length, mixed: all.some((c) => c.mixed),
        edited: all.some((c) => c.edited),
        demo: all.some((c) => c.mark === "demo"),
      };
    });
    if (!methods.length) return null;
    const dataOf = (units) => new Set([...units].map((u) => JSON.parse(u)[0])).size;
    const total = dataOf(group.filter((c) => c.score !== null || c.source === "published").map(unit));
    const taking = methods.filter((m) => !unranked.has(m.id));
    const common = [...(taking[0]?.numbers.keys() ?? [])].filter((u) => taking.every((m) => m.numbers.has(u)));
    const perUnit = common.map((u) => averageRanks(taking.map((m) => sign * m.numbers.get(u))));
    const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
    taking.forEach((m, i) => {
      m.mean = common.length ? mean(common.map((u) => m.numbers.get(u))) : null;
      m.rank = common.length ? mean(perUnit.map((ranks) => ranks[i])) : null;
    });
    methods.sort((m, n) => unranked.has(m.id) - unranked.has(n.id) ||
      (m.rank ?? 0) - (n.rank ?? 0) || sign * ((n.mean ?? 0) - (m.mean ?? 0)) || m.name.localeCompare(n.name));

    const body = make("tbody");
    for (const m of methods) {
      const tick = make("input", {
        type: "checkbox", "aria-label": `rank ${m.name}`, checked: !unranked.has(m.id),
      });
      tick.addEventListener("change", () => {
        if (tick.checked) unranked.delete(m.id); else unranked.add(m.id);
        rankings(passing());
        [...document.querySelectorAll("#ranking input")].find((i) => i.dataset.id === m.id)?.focus();
      });
      tick.dataset.id = m.id;
      const out = m.mean === undefined || m.mean === null;
      const bar = make("span", { class: "bar", "aria-hidden": "true" });
      if (!out) bar.style.setProperty("--v", m.mean);
      body.append(make("tr", { class: unranked.has(m.id) ? "off" : null },
        make("td", {}, tick),
        make("th", { scope: "row" }, make("span", { class: "name" }, m.name),
          ...(m.demo ? [" ", make("span", { class: "pill warn" }, "demo weights")] : []),
          ...(m.mixed ? [" ", make("span", { class: "pill warn" }, "mixed")] : []),
          ...(m.edited ? [" ", make("span", { class: "pill warn" }, "edited")] : [])),
        make("td", { class: "r" }, out ? "–" : m.rank.toFixed(2)),
        make("td", { class: "r score" }, ...(out ? ["–"] : [bar, " ", make("span", { class: "figure" }, m.mean.toFixed(3))])),
        make("td", { class: "r p1" }, `${dataOf(m.numbers.keys())} of ${total}`)));
    }
    const head = make("thead", {}, make("tr", {},
      make("th", { scope: "col" }, make("span", { class: "sr" }, "ranked")),
      make("th", { scope: "col" }, "Method"), make("th", { scope: "col", class: "r" }, "Mean rank"),
      make("th", { scope: "col", class: "r" }, `Mean ${metric}`), make("th", { scope: "col", class: "r p1" }, "Data sets")));
    const doubles = methods.reduce((n, m) => n + m.doubles, 0);
    const text = !taking.length ? "No method is ticked."
      : taking.length === 1 ? `The mean is over ${plural(common.length, "data set")}; there is no other method to rank it against.`
      : common.length
        ? `Ranks (ties averaged) and means are over the ${plural(common.length, "data set")} for which each of the ` +
          `${taking.length} ticked methods has a complete result` +
          (common.length < total ? ". Untick a method with few data sets, and more become common." : ".")
        : "There is no data set for which every ticked method has a complete result: untick some.";
    return make("div", { class: "ranking" },
      make("h3", {}, `${sourceName(source)}${protocol ? `, protocol ${protocol}` : ""}`),
      make("div", { class: "scroll" }, make("table", { class: "rank" }, head, body)),
      make("p", { class: "small" }, text + (doubles ? ` Left out: ${plural(doubles, "place")} where a method has several runs.` : "")));
  };

  // A row of the matrix is one set of images. What has none of its own (a published number, a
  // skipped method) stands with the first set of its split, or of its data set.
  const byImages = (ofData) => {
    const { label } = ofData[0];
    const sets = [...grouped(ofData.filter((c) => c.images), unit).values()].sort(([c], [d]) =>
      (c.split !== "test") - (d.split !== "test") || c.images.localeCompare(d.images));
    for (const c of ofData.filter((one) => !one.images)) {
      const same = sets.find(([first]) => first.split === c.split) ?? (c.split ? null : sets[0]);
      if (same) same.push(c); else sets.push([c]);
    }
    const count = (of) => new Set(sets.map(([first]) => of(first))).size;
    const splits = count((c) => c.split), several = count((c) => key(c.split, c.images));
    return sets.map((some) => {
      const [{ split, images, truth }] = some;
      const text = (split && split !== "test" ? `, ${split}` : "") +
        (several > splits && images ? ` #${images}` : "") +
        (sets.length > several && truth ? `, labels ${truth}` : "");
      return [label + text, some];
    });
  };

  const matrix = (shown) => {
    const place = document.getElementById("matrix");
    place.replaceChildren();
    const columns = [...grouped(shown, (c) => key(c.source, c.protocol, c.method)).values()]
      .map((all) => ({ ...all[0], numbers: all.filter((c) => c.score !== null).length }))
      .filter((c) => c.numbers)
      .sort((c, d) => c.source.localeCompare(d.source) || c.protocol.localeCompare(d.protocol) ||
        c.control - d.control || d.numbers - c.numbers || c.method.localeCompare(d.method));
    if (!columns.length) return;
    const sources = [...grouped(columns, (c) => key(c.source, c.protocol)).values()];
    const over = make("tr", {}, make("td"), ...sources.map((some) =>
      make("th", { class: "over", scope: "colgroup", colspan: some.length },
        `${sourceName(some[0].source)}, protocol ${some[0].protocol}`)));
    const head = make("tr", {}, make("th", { scope: "col" }, "Data set"),
      ...columns.map((c) => make("th", { scope: "col" }, c.method)));
    const body = make("tbody");
    for (const [, inGroup] of grouped(shown, (c) => c.modality)) {
      body.append(make("tr", { class: "group" }, make("th", { colspan: columns.length + 1, scope: "rowgroup" }, make("span", {}, inGroup[0].group))));
      for (const [label, ofData] of [...grouped(inGroup, (c) => c.data).values()].flatMap(byImages)) {
        const top = new Map();
        for (const [where, some] of grouped(ofData.filter(ranked), (c) => key(c.source, c.protocol))) {
          top.set(where, [...new Set(some.map((c) => c.score))].sort((a, b) => sign * (b - a)));
        }
        const link = ofData[0].row.querySelector("td a");
        const row = make("tr", {}, make("th", { scope: "row" },
          make("a", { href: link.getAttribute("href") }, label)));
        for (const column of columns) {
          const found = ofData.filter((c) => c.method === column.method && c.source === column.source && c.protocol === column.protocol);
          row.append(matrixCell(found, top.get(key(column.source, column.protocol)) ?? [], link.getAttribute("href")));
        }
        body.append(row);
      }
    }
    place.append(make("table", { class: "matrix" }, make("thead", {}, ...(sources.length > 1 ? [over] : []), head), body));
  };

  const matrixCell = (found, top, page) => {
    if (!found.length) return make("td", { class: "none" });
    if (found.length > 1) return make("td", {}, make("a", { href: page }, plural(found.length, "run")));
    const c = found[0];
    if (c.score === null) return make("td", { class: "none", title: c.shown }, make("span", { "aria-hidden": "true" }, "–"), make("span", { class: "sr" }, c.shown));
    const cell = make("td", { title: c.partial ? c.status : null });
    cell.style.setProperty("--v", c.score);
    let number = make(c.page ? "a" : "span", { href: c.page || null, class: "figure" }, c.score.toFixed(3));
    if (ranked(c) && top.length > 1 && c.score === top[0]) number = make("b", {}, number);
    else if (ranked(c) && c.score === top[1]) number = make("u", {}, number);
    if (c.partial) number = make("i", {}, number);
    cell.append(number);
    if (c.domain === "in") cell.append(make("span", { class: "domain-dot", title: "in-domain" }, make("span", { class: "sr" }, " in-domain")));
    return cell;
  };

  const update = () => {
    const shown = passing(), set = new Set(shown);
    for (const c of cells) c.row.hidden = !set.has(c);
    document.getElementById("count").value = `${shown.length} of ${plural(cells.length, "result")}`;
    document.getElementById("none").hidden = shown.length > 0;
    rankings(shown);
    matrix(shown);
  };
  form.addEventListener("input", update);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => { unranked.clear(); setTimeout(update); });
  update();
})();
