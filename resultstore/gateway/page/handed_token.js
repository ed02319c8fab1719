// Handed token: the token that a page of an application passes to this page, in the fragment of its link.

/**
 * Take a token out of the address bar, and keep it if the page with the link may pass one. A fragment is sent to no
 * server. A link from elsewhere is ignored: it could sign a user in to the account of the link's author.
 */
export function takeHandedToken(api) {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token === null) return;
  history.replaceState(history.state, "", location.pathname + location.search);
  if (token && mayPass(document.referrer)) api.token = token;
}

/** The content of a setting in the page's head, "" if it is not set. */
export function pageSetting(name) {
  return document.querySelector(`meta[name="resultstore-${name}"]`)?.content ?? "";
}

function mayPass(referrer) {
  if (!referrer) return false;
  const { origin } = new URL(referrer);
  return origin === location.origin || pageSetting("token-origins").split(" ").includes(origin);
}
