"use strict";
// The outlines of a sample are in a file of their own, loaded when the sample is shown.
const outlines = {
  loaded: new Map(),
  waiting: new Map(),
  take(value) {
    this.loaded.set(value.id, value);
    this.waiting.get(value.id)?.forEach((resolve) => resolve(value));
    this.waiting.delete(value.id);
  },
  get(id, url) {
    if (this.loaded.has(id)) return Promise.resolve(this.loaded.get(id));
    return new Promise((resolve, reject) => {
      if (this.waiting.has(id)) { this.waiting.get(id).push(resolve); return; }
      this.waiting.set(id, [resolve]);
      const script = document.createElement("script");
      script.src = url;
      script.onerror = () => { this.waiting.delete(id); script.remove(); reject(new Error("missing")); };
      document.head.append(script);
    });
  },
};
