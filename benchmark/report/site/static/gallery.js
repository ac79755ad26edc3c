"use strict";
// The images of a data set, page by page: ordered, and with the outlines that are chosen.
const gallery = (() => {
  const PER_PAGE = 48;
  const KINDS = ["missed", "spurious", "split", "merged"];
  const $ = (id) => document.getElementById(id);
  const list = $("gallery");
  let data, ordered = [], page = 0;

  const method = () => Number($("g-method")?.value ?? 0);
  const sign = Number(document.documentElement.dataset.sign);

  // What each order sorts by, lowest first; images without that number come last.
  const spread = (picture) => {
    const values = picture.scores.filter((score) => score !== null);
    return values.length > 1 ? Math.min(...values) - Math.max(...values) : null;
  };
  const keys = {
    score: (picture) => { const score = picture.scores[method()]; return score === null ? null : sign * score; },
    differ: spread,
    ...Object.fromEntries(KINDS.map((kind, k) => [kind, (picture) => {
      const count = picture.errors[method()]?.[k];
      return count === undefined ? null : -count;
    }])),
  };

  const inOrder = (order) => {
    const every = data.pictures.map((_, at) => at);
    if (!order) return every.filter((at) => data.pictures[at].why);
    const name = (at) => data.pictures[at].id;
    every.sort((a, b) => name(a).localeCompare(name(b), undefined, { numeric: true }));
    const key = keys[order];
    if (!key) return every;
    const values = data.pictures.map(key);
    const rank = (at) => (values[at] === null ? Infinity : values[at]);
    return every.sort((a, b) => (rank(a) === rank(b) ? 0 : rank(a) - rank(b)));
  };

  const svgNode = (name, attributes) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    return node;
  };
  const span = (className, text, title) => Object.assign(document.createElement("span"), { className, textContent: text, title: title ?? "" });

  const chosenLayers = () => [...document.querySelectorAll("#g-bar [data-layer]:checked")].map((box) => box.dataset.layer);

  // Outlines are in files of their own, which are loaded once a picture is near the screen.
  const paint = (item) => {
    const layers = chosenLayers(), picture = data.pictures[Number(item.dataset.at)];
    const svg = item.querySelector("svg");
    if (!layers.length) { svg.replaceChildren(); return; }
    outlines.get(picture.id, `${data.folder}${picture.stem}.js`).then((sample) => {
      svg.replaceChildren(...layers.flatMap((layer) => {
        const paths = layer === "true" ? sample.true : sample.layers[Number(layer)]?.paths;
        if (!paths?.length) return [];
        const name = layer === "true" ? "true" : `m${Number(layer) % 8}`;
        return [svgNode("path", { d: paths.join(""), class: `over ${name}` })];
      }));
    }, () => { /* the viewer says that the file is missing */ });
  };
  const near = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      target.dataset.near = isIntersecting ? "1" : "";
      if (isIntersecting) paint(target);
    }
  }, { rootMargin: "300px" });
  const repaint = () => list.querySelectorAll('button[data-near="1"]').forEach(paint);

  const item = (at) => {
    const picture = data.pictures[at];
    const button = Object.assign(document.createElement("button"), { type: "button" });
    button.dataset.at = at;
    const frame = span("frame", "");
    const objects = picture.objects === null ? "no labels" : `${picture.objects} annotated objects`;
    const image = Object.assign(document.createElement("img"), {
      loading: "lazy", width: picture.width, height: picture.height, alt: `${picture.id}: ${objects}`,
      src: `${data.thumbs}${picture.stem}.webp`,
    });
    const svg = svgNode("svg", {
      viewBox: `0 0 ${picture.width * picture.units} ${picture.height * picture.units}`,
      preserveAspectRatio: "xMidYMid slice", "aria-hidden": "true",
    });
    frame.append(image, svg);
    const scores = span("scores", "");
    scores.append(...picture.scores.map((score, i) => span("", score === null ? "n/a" : score.toFixed(3), data.methods[i])));
    const k = KINDS.indexOf($("g-order").value), count = picture.errors[method()]?.[k];
    const why = count === undefined ? picture.why : `${count} ${KINDS[k]}`;
    button.append(frame, span("why", why), span("id", picture.id, picture.original), scores);
    button.addEventListener("click", () => document.dispatchEvent(new CustomEvent("openpicture", { detail: at })));
    const li = document.createElement("li");
    li.append(button);
    near.observe(button);
    return li;
  };

  const pages = () => Math.max(1, Math.ceil(ordered.length / PER_PAGE));
  const showPage = (wanted) => {
    page = Math.min(Math.max(wanted, 0), pages() - 1);
    near.disconnect();
    list.replaceChildren(...ordered.slice(page * PER_PAGE, (page + 1) * PER_PAGE).map(item));
    $("g-pages").hidden = pages() === 1;
    $("g-place").textContent = `page ${page + 1} of ${pages()}, ${ordered.length} images`;
    $("g-back").disabled = page === 0;
    $("g-on").disabled = page === pages() - 1;
  };
  const reorder = () => {
    const order = $("g-order").value;
    if ($("g-method")) $("g-method").parentElement.hidden = !order || order === "name" || order === "differ";
    ordered = inOrder(order);
    showPage(0);
  };
  const turn = (step) => {
    showPage(page + step);
    $("g-bar").scrollIntoView({ block: "nearest" });
  };

  report.whenReady((value) => {
    data = value;
    for (const id of ["g-order", "g-method"]) $(id)?.addEventListener("change", reorder);
    $("g-back").addEventListener("click", () => turn(-1));
    $("g-on").addEventListener("click", () => turn(1));
    for (const box of document.querySelectorAll("#g-bar [data-layer]")) box.addEventListener("change", repaint);
    reorder();
  });

  return {
    // The pictures in the order that is shown; one that is not among them changes the order.
    around(at) {
      if (!ordered.includes(at)) { $("g-order").value = "name"; reorder(); }
      return ordered;
    },
    focus(at) {
      const wanted = Math.floor(Math.max(0, ordered.indexOf(at)) / PER_PAGE);
      if (wanted !== page) showPage(wanted);
      list.querySelector(`button[data-at="${at}"]`)?.focus();
    },
  };
})();
