/**
 * The page. Start reading here: sign in, make a Chat, draw it whenever it changes.
 *
 * Data goes one way: the user's doings and the node's frames change `chat.state`, and the views draw it.
 */

import { currentToken, endSignIn, forgetAccount, loadAccount, roomMemory, saveAccount } from "./account.js";
import { Chat } from "./chat.js";
import { byId, element, setText } from "./dom.js";
import { roomTitle } from "./format.js";
import { unread } from "./rooms.js";
import { spoken } from "./timeline.js";
import { ComposerView, isTouch } from "./view-composer.js";
import { ConnectionView } from "./view-connection.js";
import { Drawers } from "./view-drawers.js";
import { PasswordView } from "./view-password.js";
import { PeopleView } from "./view-people.js";
import { RoomsView } from "./view-rooms.js";
import { SignInView } from "./view-signin.js";
import { TimelineView } from "./view-timeline.js";

const FIRST_ROOM = "lobby";
const HIDDEN_DRAW_MS = 250;
const ANNOUNCEMENTS_KEPT = 10;

/** @type {Chat | null} null while nobody is signed in */
let chat = null;

const drawers = new Drawers();
const signIn = new SignInView((account) => {
  saveAccount(account);
  enter(account);
});
const connectionView = new ConnectionView(() => tryNow());
const roomsView = new RoomsView({ enter: goTo, signOut: () => signOut("") });
const passwordView = new PasswordView((account) => {
  // The node closes what came in on the old token; what happens meanwhile is made up for.
  saveAccount(account);
  chat?.reconnect();
  announce("Your password is changed.");
});
const peopleView = new PeopleView();
const timelineView = new TimelineView({
  loadOlder: () => inRoom((now, name) => now.loadOlder(name)),
  seen: () => inRoom((now, name) => now.seen(name)),
  sayAgain: (key) => inRoom((now, name) => now.sayAgain(name, key)),
  discard: (key) => inRoom((now, name) => now.discard(name, key)),
  loadGap: (gap) => inRoom((now, name) => now.loadGap(name, gap)),
});
const composerView = new ComposerView({
  say: (content) => {
    inRoom((now, name) => now.say(name, content));
    draw();
    timelineView.toEnd();
  },
  typing: () => inRoom((now, name) => now.typing(name)),
  fits: (content) => chat?.fits(content) ?? true,
});

/** @param {import("./account.js").Account} account */
function enter(account) {
  signIn.hide();
  passwordView.offer(account);
  byId("chat").hidden = false;
  const url = new URL("ws", document.baseURI);
  url.protocol = url.protocol.replace("http", "ws");
  chat = new Chat({
    url: url.href,
    user: account.user,
    token: currentToken,
    memory: roomMemory(account.user),
    onChange: drawSoon,
    onMessage: (room, message) => {
      if (room.name === chat?.state.active) announce(spoken(message));
    },
  });
  const [remembered] = chat.state.rooms.keys();
  chat.open(roomInUrl()) || chat.open(remembered ?? FIRST_ROOM);
  showRoomInUrl();
  chat.start();
  draw();
  if (!isTouch()) composerView.focus();
}

/** @param {string} problem */
function signOut(problem) {
  chat?.stop();
  chat = null;
  passwordView.close();
  const account = loadAccount();
  forgetAccount();
  if (account && problem === "") void endSignIn(account);
  // A fresh page forgets everything that was on screen, without a list of what that is.
  if (problem === "") location.replace(location.pathname);
  byId("chat").hidden = true;
  signIn.show(problem);
}

function tryNow() {
  if (!chat) return;
  const { signInRefused, reason } = chat.state.connection;
  if (signInRefused) signOut(reason);
  else chat.retryNow();
}

/** @param {(chat: Chat, room: string) => void} act on the room before the user's eyes */
function inRoom(act) {
  if (chat?.state.active) act(chat, chat.state.active);
}

// Rooms and the address: `#lobby` is a link that can be sent to somebody, and Back goes back.

/** @param {string} name @returns {boolean} */
function goTo(name) {
  if (!chat?.open(name)) return false;
  showRoomInUrl();
  drawers.close();
  if (!isTouch()) composerView.focus();
  return true;
}

function roomInUrl() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return ""; // "#%": nothing we wrote
  }
}

function showRoomInUrl() {
  const hash = `#${chat?.state.active ?? ""}`;
  if (location.hash !== hash) history.pushState(null, "", hash);
}

function leave() {
  inRoom((now, name) => {
    const names = [...now.state.rooms.keys()];
    const place = names.indexOf(name);
    now.leave(name);
    goTo(names[place + 1] ?? names[place - 1] ?? FIRST_ROOM);
  });
}

/** @param {number} step to the next room in the list or the one before */
function step(step) {
  inRoom((now, name) => {
    const names = [...now.state.rooms.keys()];
    goTo(/** @type {string} */ (names.at((names.indexOf(name) + step) % names.length)));
  });
}

// Drawing.

let drawPending = false;

/** Once a frame, however much changed; a hidden page gets no frames, but its title still counts. */
function drawSoon() {
  if (drawPending) return;
  drawPending = true;
  if (document.hidden) setTimeout(draw, HIDDEN_DRAW_MS);
  else requestAnimationFrame(draw);
}

function draw() {
  drawPending = false;
  if (!chat) return;
  const { state } = chat;
  const room = state.active === null ? undefined : state.rooms.get(state.active);
  connectionView.render(state.connection);
  roomsView.render(state);
  if (!room) return;
  const title = roomTitle(room.name, state.user);
  setText(byId("room-name"), title);
  byId("room-name").title = title;
  byId("leave").setAttribute("aria-label", `Leave ${title}`);
  byId("leave").title = `Leave ${title}`;
  composerView.render(title);
  peopleView.render(room, state.user);
  timelineView.render(room, state.user);
  const news = [...state.rooms.values()].reduce((sum, each) => sum + unread(each, state.user), 0);
  document.title = `${news > 0 ? `(${news}) ` : ""}${title} · Greenroom`;
}

/**
 * For screen readers. Added, not replaced: of two messages in one moment both are read.
 *
 * @param {string} words
 */
function announce(words) {
  const announcer = byId("announcer");
  announcer.append(element("p", {}, words));
  if (announcer.childElementCount > ANNOUNCEMENTS_KEPT) announcer.firstElementChild?.remove();
}

byId("leave").addEventListener("click", leave);
byId("skip").addEventListener("click", () => composerView.focus());
addEventListener("hashchange", () => {
  if (roomInUrl() !== chat?.state.active) goTo(roomInUrl());
});
addEventListener("online", () => {
  if (chat?.state.connection.state === "DISCONNECTED") chat.retryNow();
});
addEventListener("beforeunload", (event) => {
  // What the node has not taken lives in this page alone: the browser asks before it is gone.
  const rooms = [...(chat?.state.rooms.values() ?? [])];
  if (rooms.some((room) => room.pending.length > 0)) event.preventDefault();
});
document.addEventListener("keydown", (event) => {
  if (!event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return;
  event.preventDefault();
  step(event.key === "ArrowUp" ? -1 : 1);
});

const account = loadAccount();
if (account) enter(account);
else signIn.show();
