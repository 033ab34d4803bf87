// The pages work without this file. It counts down the life of a code, cleans a code that
// is pasted, and posts the response of the authorization endpoint to the client at once.
// It also gives each page an address, so that "back" and "reload" show it again: a browser
// does not show the answer to a post a second time.
"use strict";

const response = document.querySelector("form[data-submit]");
if (response) response.submit();

const form = document.querySelector("form[data-reload]");
// Proxies and servers limit the length of addresses.
if (form && form.elements.state.value.length < 6000) history.replaceState(null, "", form.dataset.reload + "?state=" + form.elements.state.value);

const left = document.getElementById("left");
if (left) {
  const end = Date.now() + Number(left.dataset.seconds) * 1000;
  const show = () => {
    const seconds = Math.max(0, Math.round((end - Date.now()) / 1000));
    left.textContent = Math.floor(seconds / 60) + ":" + String(seconds % 60).padStart(2, "0");
    if (seconds > 0) return;
    clearInterval(timer);
    const life = document.getElementById("life");
    life.setAttribute("role", "status");
    life.textContent = life.dataset.expired;
  };
  const timer = setInterval(show, 1000);
  show();
}

const code = document.querySelector("input[autocomplete=one-time-code]");
if (code) {
  code.addEventListener("paste", (event) => {
    const text = event.clipboardData.getData("text");
    const digits = code.inputMode === "numeric" && text.replace(/(\d)[\s-]+(?=\d)/g, "$1").match(/\d{4,}/);
    const pasted = digits ? digits[0] : text.replace(/[\s-]+/g, "");
    if (!pasted) return;
    event.preventDefault();
    code.value = pasted;
  });
}
