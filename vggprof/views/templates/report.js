"use strict";
(() => {
  const grid = JSON.parse(document.getElementById("grid").textContent);
  const [batch, gpu, optimizer] = ["batch", "gpu", "optimizer"].map((id) => document.getElementById(id));
  const rows = [...document.querySelectorAll("#answers tbody tr")];

  // What is shown is looked up; nothing is computed here.
  function show() {
    const chosen = grid.batches[batch.value];
    document.getElementById("batch-said").textContent = chosen;
    batch.setAttribute("aria-valuetext", "batch " + chosen);
    document.getElementById("usable").textContent = grid.usable[gpu.selectedIndex];
    rows.forEach((row, arch) => {
      const point = grid.points[arch][gpu.selectedIndex][optimizer.selectedIndex][batch.value];
      [...row.querySelectorAll("td")].forEach((cell, at) => {
        cell.textContent = point.said[at];
        cell.className = at === 0 ? point.said[0] : "";
      });
      row.dataset.bytes = JSON.stringify(point.bytes);
    });
  }

  function remember() {
    const said = new URLSearchParams({ batch: grid.batches[batch.value], gpu: gpu.value, optimizer: optimizer.value });
    history.replaceState(null, "", "#" + said);
  }

  function choose(list, wanted) {
    const at = list.indexOf(wanted);
    return at < 0 ? null : at;
  }

  function recall() {
    const said = new URLSearchParams(location.hash.slice(1));
    batch.value = choose(grid.batches.map(String), said.get("batch")) ?? grid.asked[0];
    gpu.selectedIndex = choose(grid.gpus, said.get("gpu")) ?? grid.asked[1];
    optimizer.selectedIndex = choose(grid.optimizers, said.get("optimizer")) ?? grid.asked[2];
    show();
  }

  for (const control of [batch, gpu, optimizer]) {
    control.addEventListener("input", () => { show(); remember(); });
  }
  window.addEventListener("hashchange", recall);
  recall();
})();
