document.querySelector("#overlay").addEventListener("input", (event) => {
  document.documentElement.style.setProperty("--overlay", event.target.value / 100);
});
for (const mark of document.querySelectorAll(".narrative sup a")) {
  mark.addEventListener("click", () => { document.querySelector(".rests").open = true; });
}
for (const button of document.querySelectorAll(".field button")) {
  button.addEventListener("click", () => {
    const large = button.closest(".field").classList.toggle("large");
    button.textContent = large ? "Smaller" : "Larger";
    button.setAttribute("aria-pressed", large);
  });
}
