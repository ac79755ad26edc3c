"use strict";
// One sample at a time: the image, and on it outlines of the truth and of two methods.
(() => {
  const $ = (id) => document.getElementById(id);
  const KINDS = { m: "matched", x: "missed", s: "spurious", p: "split", g: "merged" };
  const ZOOMS = [1, 1.5, 2, 3, 4, 6];
  const viewer = $("viewer");
  let data, at = 0, order = [], zoom = 0, shownOutlines = null;

  const colours = () => document.querySelector('input[name="colours"]:checked').value;
  const chosen = (letter) => Number($(`v-${letter}-method`).value);

  const addPath = (group, d, name) => {
    if (!d) return;
    for (const layer of ["under", "over"]) {
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      path.setAttribute("d", d);
      path.setAttribute("class", `${layer} ${name}`);
      group.append(path);
    }
  };
  const drawLayer = (paths, kinds, name, byKind) => {
    const group = document.createElementNS("http://www.w3.org/2000/svg", "g");
    group.setAttribute("class", `layer-${name}`);
    if (byKind) {
      for (const [letter, kind] of Object.entries(KINDS)) {
        addPath(group, paths.filter((_, i) => kinds[i] === letter).join(""), `kind-${kind} of-${name}`);
      }
    } else addPath(group, paths.join(""), name);
    $("v-svg").append(group);
  };

  // A method has the same colour here and in the gallery.
  const colour = (letter) => viewer.style.setProperty(`--of-${letter}`, `var(--m${chosen(letter) % 8})`);

  const draw = () => {
    ["a", "b"].forEach(colour);
    const svg = $("v-svg"), picture = data.pictures[at], sample = shownOutlines;
    svg.replaceChildren();
    const mode = colours(), layer = mode && sample ? sample.layers[chosen(mode)] : null;
    const outcome = layer?.kinds == null ? null : layer;  // without labels nothing is an error
    svg.setAttribute("viewBox", `0 0 ${picture.width * picture.units} ${picture.height * picture.units}`);
    if (sample) {
      if ($("v-true").checked && sample.true) drawLayer(sample.true, outcome?.true_kinds, "true", outcome);
      for (const letter of ["b", "a"]) {
        const layer = sample.layers[chosen(letter)];
        if ($(`v-${letter}`).checked && layer) drawLayer(layer.paths, layer.kinds, letter, outcome && letter === mode);
      }
    }
    legend(outcome);
    const lacking = sample ? ["a", "b"].filter((l) => $(`v-${l}`).checked && !sample.layers[chosen(l)]).map((l) => data.methods[chosen(l)]) : [];
    $("v-missing").hidden = sample !== null && !lacking.length;
    $("v-missing").textContent = sample ? `No stored prediction of ${lacking.join(", ")} for this image.` : "";
    numbers();
  };

  const legend = (outcome) => {
    $("v-legend").hidden = !outcome;
    if (!outcome) return;
    const count = (letters, letter) => [...letters].filter((l) => l === letter).length;
    $("v-legend").replaceChildren(...Object.entries(KINDS).map(([letter, kind]) => {
      const item = document.createElement("li"), swatch = document.createElement("i");
      swatch.className = `swatch kind-${kind}`;
      const parts = [];
      if (letter !== "s") parts.push(`${count(outcome.true_kinds, letter)} true`);
      if (letter !== "x") parts.push(`${count(outcome.kinds, letter)} predicted`);
      item.append(swatch, ` ${kind} `, Object.assign(document.createElement("span"), { className: "small", textContent: parts.join(", ") }));
      return item;
    }), Object.assign(document.createElement("li"), { className: "small", textContent: "Dashed: true objects." }));
  };

  const link = (text, href) => Object.assign(document.createElement("a"), { textContent: text, href });
  const numbers = () => {
    const table = document.createElement("table");
    table.className = "plain";
    const body = table.createTBody();
    data.pictures[at].scores.forEach((score, i) => {
      const row = body.insertRow(), name = document.createElement("th");
      name.scope = "row";
      name.append(link(data.methods[i], data.pages[i]));
      row.append(name);
      const cell = row.insertCell();
      cell.className = "r";
      cell.textContent = score === null ? "n/a" : score.toFixed(3);
      const id = encodeURIComponent(data.pictures[at].id), stored = data.pictures[at].errors[i] !== null;
      if (data.files[i]) row.insertCell().append(stored ? link("TIFF", `${data.files[i]}predictions/${id}.tif`) : "");
      if ((i === chosen("a") && $("v-a").checked) || (i === chosen("b") && $("v-b").checked)) row.className = "chosen";
    });
    const caption = table.createCaption();
    caption.textContent = `${document.documentElement.dataset.metric} on this image`;
    $("v-numbers").replaceChildren(table);
  };

  const step = (by) => {
    const place = order.indexOf(at) + by;
    show(order[(place + order.length) % order.length]);
  };

  const show = (where) => {
    at = where;
    const picture = data.pictures[at];
    $("v-why").textContent = picture.why;
    $("v-title").textContent = picture.id;
    $("v-place").textContent = `${order.indexOf(at) + 1} of ${order.length}`;
    const objects = picture.objects === null ? "no labels" : `${picture.objects} annotated object${picture.objects === 1 ? "" : "s"}`;
    $("v-about").textContent = `${picture.width} × ${picture.height} pixels` + (picture.down > 1 ? `, shown at 1 : ${picture.down}` : "") +
      `; ${objects}; group ${picture.group}` + (picture.original === picture.id ? "" : `; ${picture.original}`);
    $("v-image").src = `${data.folder}${picture.stem}.webp`;
    $("v-image").alt = `${picture.id}: ${objects}, outlines of truth and predictions over it`;
    $("v-canvas").style.setProperty("--ratio", picture.width / picture.height);
    shownOutlines = null;
    draw();
    outlines.get(picture.id, `${data.folder}${picture.stem}.js`).then(
      (value) => { if (data.pictures[at] === picture) { shownOutlines = value; draw(); } },
      () => { $("v-missing").hidden = false; $("v-missing").textContent = "The file with its outlines is missing."; },
    );
  };

  const resize = (step) => {
    zoom = Math.min(Math.max(zoom + step, 0), ZOOMS.length - 1);
    $("v-canvas").style.setProperty("--zoom", ZOOMS[zoom]);
    $("v-zoom").textContent = zoom ? `${ZOOMS[zoom]} ×` : "fit";
  };

  const open = (where) => {
    if (!viewer.open) viewer.showModal();
    order = gallery.around(where);
    show(where);
    $("v-stage").focus();
  };

  const toggle = (id) => { $(id).checked = !$(id).checked; draw(); };
  const nextColours = () => {
    const radios = [...document.querySelectorAll('input[name="colours"]')];
    radios[(radios.findIndex((r) => r.checked) + 1) % radios.length].checked = true;
    draw();
  };
  const keys = {
    ArrowLeft: () => step(-1), ArrowRight: () => step(1),
    t: () => toggle("v-true"), a: () => toggle("v-a"), b: () => toggle("v-b"), e: nextColours,
    "+": () => resize(1), "=": () => resize(1), "-": () => resize(-1),
  };

  report.whenReady((value) => {
    data = value;
    for (const letter of ["a", "b"]) {
      $(`v-${letter}-method`).replaceChildren(...data.methods.map((name, i) => new Option(name, i)));
      $(`v-${letter}-method`).value = letter === "a" ? 0 : Math.min(1, data.methods.length - 1);
      for (const id of [`v-${letter}`, `v-${letter}-method`]) $(id).addEventListener("change", draw);
    }
    $("v-true").addEventListener("change", draw);
    document.querySelectorAll('input[name="colours"]').forEach((r) => r.addEventListener("change", draw));
    $("v-back").addEventListener("click", () => step(-1));
    $("v-on").addEventListener("click", () => step(1));
    $("v-smaller").addEventListener("click", () => resize(-1));
    $("v-larger").addEventListener("click", () => resize(1));
    $("v-close").addEventListener("click", () => viewer.close());
    viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
    viewer.addEventListener("close", () => gallery.focus(at));
    viewer.addEventListener("keydown", (event) => {
      // Arrows choose in a list, among radio buttons and on a scale; elsewhere they turn the page.
      const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
      const choosing = event.target.matches("select") ||
        (event.target.matches("input[type=radio], input[type=range]") && key.startsWith("Arrow"));
      if (event.ctrlKey || event.metaKey || event.altKey || choosing || !(key in keys)) return;
      event.preventDefault();
      keys[key]();
    });
    document.addEventListener("openpicture", (event) => open(event.detail));
  });
})();
