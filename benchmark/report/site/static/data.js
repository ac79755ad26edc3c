"use strict";
// A data set's page: its script file calls `report.data`, and who wants the data is told.
const report = (() => {
  const waiting = [];
  return {
    value: null,
    data(value) { this.value = value; waiting.forEach((told) => told(value)); },
    whenReady(told) { waiting.push(told); },
  };
})();
