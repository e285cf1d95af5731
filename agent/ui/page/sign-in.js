// @ts-check
import { ApiError, useToken } from './api.js';
import { find, say } from './dom.js';

/** @type {Promise<void> | undefined} */
let open;

/**
 * Asks for a token where the agent wants one. @returns whether it did, and has one now.
 * @param {unknown} error of a question to the agent
 */
export async function signInAfter(error) {
  if (!(error instanceof ApiError) || error.status !== 401) return false;
  open ??= askForToken(error.message).finally(() => {
    open = undefined;
  });
  await open;
  return true;
}

/**
 * @param {string} why
 * @returns {Promise<void>}
 */
function askForToken(why) {
  const form = find('#sign-in');
  const input = find('#token');
  document.body.classList.add('locked');
  say(find('#pulse'), 'a token is needed');
  say(find('#sign-in-why'), why);
  form.hidden = false;
  input.focus();
  return new Promise((resolve) => {
    form.addEventListener(
      'submit',
      (event) => {
        event.preventDefault();
        if (input instanceof HTMLInputElement) {
          useToken(input.value.trim());
          input.value = '';
        }
        form.hidden = true;
        document.body.classList.remove('locked');
        resolve();
      },
      { once: true },
    );
  });
}
