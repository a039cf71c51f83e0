// A chat server on `ws`: node server.js PORT
"use strict";
const http = require("http");
const { WebSocketServer, WebSocket } = require("ws");

const rooms = new Map(); // name -> { offset, members }

function enter(name, client) {
  let room = rooms.get(name);
  if (!room) rooms.set(name, (room = { name, offset: 0, members: new Set() }));
  room.members.add(client);
  return room;
}

function publish(room, from, user, content) {
  const text = JSON.stringify({
    type: "MESSAGE",
    room: room.name,
    offset: ++room.offset,
    user,
    content,
    timestamp: Date.now(),
  });
  for (const member of room.members)
    if (member !== from && member.readyState === WebSocket.OPEN) member.send(text);
}

function chat(client) {
  let room, user;
  client.on("message", (data) => {
    const asked = JSON.parse(data);
    if (asked.type === "JOIN" && !room) {
      user = asked.user;
      room = enter(asked.room, client);
      client.send(JSON.stringify({ type: "JOINED", room: room.name }));
    } else if (asked.type === "PUBLISH" && room) publish(room, client, user, asked.content);
  });
  client.on("close", () => room && room.members.delete(client));
}

function echo(client) {
  client.on("message", (data, isBinary) => client.send(data, { binary: isBinary }));
}

const server = http.createServer();
const upgrader = new WebSocketServer({ noServer: true, perMessageDeflate: false });
server.on("upgrade", (request, socket, head) =>
  upgrader.handleUpgrade(request, socket, head, (client) => {
    client.on("error", () => {});
    (request.url === "/echo" ? echo : chat)(client);
  }),
);
server.listen(Number(process.argv[2]), "127.0.0.1");
