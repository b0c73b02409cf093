// Questions to the server. Every address is relative: the page's own begins with the token.

async function answer(path, options) {
  const response = await fetch(path, options);
  if (response.ok) return response;
  const told = await response.json().catch(() => ({}));
  throw new Error(told.error ?? `${response.status} ${response.statusText}`);
}

export const getJson = async (path) => (await answer(path)).json();

export const getBytes = async (path) => (await answer(path)).arrayBuffer();

export const getPicture = async (path, signal) => createImageBitmap(await (await answer(path, {signal})).blob());

export async function postJson(path, body) {
  const headers = {'content-type': 'application/json'};
  return (await answer(path, {method: 'POST', headers, body: JSON.stringify(body)})).json();
}
