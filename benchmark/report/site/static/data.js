"use strict";
// A data set's script file calls `report.data`, which hands the data to all that wait for it.
const report = (() => {
  const waiting = [];
  return {
    value: null,
    data(value) { this.value = value; waiting.forEach((callback) => callback(value)); },
    whenReady(callback) { waiting.push(callback); },
  };
})();
