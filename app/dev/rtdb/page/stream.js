// The database's event stream, for as long as the page is open.

/** The server sends a keep-alive every 30 s. */
const SILENCE_MS = 45_000;
const RETRY_MS = 1_000;

/**
 * Follow a stream, and reconnect whenever it is lost.
 *
 * @param {string} url of the node.
 * @param onOpen is called each time the stream opens.
 * @param onEvent is called with kind (`put`, `patch`), path and data.
 * @param onLost is called when the stream ends, is refused, or is silent for too long.
 */
export function follow(url, { onOpen, onEvent, onLost }) {
  const source = new EventSource(url);
  let watch = setTimeout(lost, SILENCE_MS);

  function heard() {
    clearTimeout(watch);
    watch = setTimeout(lost, SILENCE_MS);
  }

  function lost() {
    clearTimeout(watch);
    source.close();
    onLost();
    setTimeout(() => follow(url, { onOpen, onEvent, onLost }), RETRY_MS);
  }

  for (const kind of ["put", "patch"]) {
    source.addEventListener(kind, (event) => {
      heard();
      const { path, data } = JSON.parse(event.data);
      onEvent(kind, path, data);
    });
  }
  source.addEventListener("open", onOpen);
  source.addEventListener("keep-alive", heard);
  // A browser reconnects by itself after some ends of a stream, but not after all.
  for (const end of ["error", "cancel", "auth_revoked"]) source.addEventListener(end, lost);
}
