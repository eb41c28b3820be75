"use strict";
/* Swipe to compare: draws one pair of a sheet of nearest pairs, the made slice over the real one, cut off where the
   slider stands. The sheet lies in the figure right before the tool; its squares tell how large a slice is. */
for (const tool of document.querySelectorAll(".compare")) {
  const sheet = tool.previousElementSibling.querySelector("img");
  const choice = tool.querySelector("select");
  const slider = tool.querySelector("input");
  const stage = tool.querySelector(".stage");
  const row = Number(tool.dataset.row);
  const gap = Number(tool.dataset.gap);

  const draw = () => {
    const side = (sheet.naturalWidth - (row - 1) * gap) / row / 2;
    const pair = Number(choice.value);
    const left = (pair % row) * (2 * side + gap);
    const top = Math.floor(pair / row) * (side + gap);
    for (const [part, x] of [[".left", left], [".right", left + side]]) {
      const canvas = stage.querySelector(part + " canvas");
      canvas.width = canvas.height = side;
      canvas.getContext("2d").drawImage(sheet, x, top, side, side, 0, 0, side, side);
    }
    stage.setAttribute("aria-label", choice.selectedOptions[0].dataset.said);
  };
  const swipe = () => stage.style.setProperty("--at", slider.value + "%");
  const drag = (event) => {
    if (event.buttons) {
      const box = stage.getBoundingClientRect();
      slider.value = 100 * (event.clientX - box.left) / box.width;
      swipe();
    }
  };

  choice.addEventListener("change", draw);
  slider.addEventListener("input", swipe);
  stage.addEventListener("pointerdown", drag);
  stage.addEventListener("pointermove", drag);
  sheet.decode().then(() => {
    draw();
    swipe();
    tool.hidden = false;
  }, () => tool.remove());
}
