// A chat server on Socket.IO: node server.js PORT
"use strict";
const { createServer } = require("http");
const { Server } = require("socket.io");

const http = createServer();
const io = new Server(http, {
  transports: ["websocket"],
  serveClient: false,
  perMessageDeflate: false,
});
const offsets = new Map();

io.on("connection", (socket) => {
  socket.on("join", ({ room, user }, done) => {
    socket.data.room = room;
    socket.data.user = user;
    socket.join(room);
    done({ room });
  });
  socket.on("publish", ({ content }) => {
    const { room, user } = socket.data;
    const offset = (offsets.get(room) ?? 0) + 1;
    offsets.set(room, offset);
    socket.to(room).emit("message", { room, offset, user, content, timestamp: Date.now() });
  });
  socket.on("echo", (message, done) => done(message));
});
http.listen(Number(process.argv[2]), "127.0.0.1");
