"use strict";
// Keeps the time zone of the viewer, in which the server shows times.
(() => {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const secure = location.protocol === "https:" ? ";Secure" : "";
  if (zone) document.cookie = "latchkey-zone=" + encodeURIComponent(zone) + ";Path=/;Max-Age=31536000;SameSite=Lax" + secure;
})();
// Buttons with data-copy copy the text of the element that they name.
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  const text = document.getElementById(button.dataset.copy).textContent;
  navigator.clipboard.writeText(text).then(() => { button.textContent = button.dataset.done; });
});
