"use strict";
// What a place of a picture says, beside whoever points at it.
(() => {
  const hint = document.getElementById("hint");
  let near = null;
  const leave = () => {
    if (near) near.classList.remove("near");
    near = null;
    hint.hidden = true;
  };
  const show = (event) => {
    const place = event.target.closest ? event.target.closest("[data-hint]") : null;
    if (!place) return leave();
    if (near !== place) {
      leave();
      near = place;
      near.classList.add("near");
      hint.textContent = place.dataset.hint;
      hint.hidden = false;
    }
    const box = hint.getBoundingClientRect();
    const left = Math.min(event.clientX + 14, window.innerWidth - box.width - 8);
    const above = event.clientY + 18 + box.height > window.innerHeight;
    hint.style.left = `${Math.max(8, left)}px`;
    hint.style.top = `${above ? event.clientY - box.height - 12 : event.clientY + 18}px`;
  };
  document.addEventListener("pointermove", show);
  document.addEventListener("pointerdown", show);
  document.addEventListener("scroll", leave, true);
  document.addEventListener("keydown", (event) => event.key === "Escape" && leave());
  const save = document.getElementById("save");
  const stored = document.getElementById("stored");
  if (save && stored) {
    save.addEventListener("click", () => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([stored.textContent], { type: "application/json" }));
      link.download = "result.json";
      link.click();
      URL.revokeObjectURL(link.href);
    });
  }
})();
