// A chat server on Gin and gorilla/websocket, with the three ways in which people write to members.
//
//	gin PORT write|prepared|pump
//
// write calls WriteMessage for each member, prepared frames the message once for all of them, pump
// gives each member a channel and a goroutine that writes all that waits in it as one message, one
// text a line, as in gorilla's own chat example.
package main

import (
	"encoding/json"
	"os"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/gorilla/websocket"
)

const (
	queued    = 256 // messages that may wait for one member, as in the chat example
	writeWait = 10 * time.Second
)

type request struct {
	Type    string `json:"type"`
	Room    string `json:"room"`
	User    string `json:"user"`
	Content string `json:"content"`
}

type message struct {
	Type      string `json:"type"`
	Room      string `json:"room"`
	Offset    uint64 `json:"offset"`
	User      string `json:"user"`
	Content   string `json:"content"`
	Timestamp int64  `json:"timestamp"`
}

type client struct {
	conn *websocket.Conn
	send chan []byte // only for the pump
}

type room struct {
	sync.Mutex
	name    string
	offset  uint64
	members map[*client]struct{}
}

type hub struct {
	sync.Mutex
	rooms map[string]*room
	tell  func(to map[*client]struct{}, but *client, text []byte)
}

func (h *hub) join(name string, c *client) *room {
	h.Lock()
	defer h.Unlock()
	r := h.rooms[name]
	if r == nil {
		r = &room{name: name, members: map[*client]struct{}{}}
		h.rooms[name] = r
	}
	r.Lock()
	defer r.Unlock()
	r.members[c] = struct{}{}
	// Under the lock, because gorilla allows one writer at a time.
	c.write(map[string]string{"type": "JOINED", "room": name})
	return r
}

func (c *client) write(value any) {
	text, _ := json.Marshal(value)
	if c.send != nil {
		c.send <- text
	} else {
		c.conn.WriteMessage(websocket.TextMessage, text)
	}
}

func (r *room) leave(c *client) {
	r.Lock()
	defer r.Unlock()
	r.remove(c)
}

func (r *room) remove(c *client) {
	if _, there := r.members[c]; there {
		delete(r.members, c)
		if c.send != nil {
			close(c.send)
		}
	}
}

// publish holds the room's lock while it writes: members get messages in the order of offsets.
func (r *room) publish(from *client, user, content string, h *hub) {
	r.Lock()
	defer r.Unlock()
	r.offset++
	text, _ := json.Marshal(message{"MESSAGE", r.name, r.offset, user, content, time.Now().UnixMilli()})
	h.tell(r.members, from, text)
}

func writeEach(to map[*client]struct{}, but *client, text []byte) {
	for c := range to {
		if c != but {
			c.conn.WriteMessage(websocket.TextMessage, text)
		}
	}
}

func writePrepared(to map[*client]struct{}, but *client, text []byte) {
	prepared, _ := websocket.NewPreparedMessage(websocket.TextMessage, text)
	for c := range to {
		if c != but {
			c.conn.WritePreparedMessage(prepared)
		}
	}
}

func queueEach(to map[*client]struct{}, but *client, text []byte) {
	for c := range to {
		if c == but {
			continue
		}
		select {
		case c.send <- text:
		default: // too slow: its pump closes the connection
			delete(to, c)
			close(c.send)
		}
	}
}

func (c *client) pump() {
	defer c.conn.Close()
	for text := range c.send {
		c.conn.SetWriteDeadline(time.Now().Add(writeWait))
		writer, err := c.conn.NextWriter(websocket.TextMessage)
		if err != nil {
			return
		}
		writer.Write(text)
		for waiting := len(c.send); waiting > 0; waiting-- {
			writer.Write([]byte{'\n'})
			writer.Write(<-c.send)
		}
		if writer.Close() != nil {
			return
		}
	}
}

func (h *hub) serve(conn *websocket.Conn, pumped bool) {
	defer conn.Close()
	c := &client{conn: conn}
	if pumped {
		c.send = make(chan []byte, queued)
		go c.pump()
	}
	var r *room
	var user string
	for {
		var asked request
		if conn.ReadJSON(&asked) != nil {
			break
		}
		switch {
		case asked.Type == "JOIN" && r == nil:
			user = asked.User
			r = h.join(asked.Room, c)
		case asked.Type == "PUBLISH" && r != nil:
			r.publish(c, user, asked.Content, h)
		}
	}
	if r != nil {
		r.leave(c)
	}
}

func echo(conn *websocket.Conn) {
	defer conn.Close()
	for {
		kind, text, err := conn.ReadMessage()
		if err != nil || conn.WriteMessage(kind, text) != nil {
			return
		}
	}
}

func main() {
	port, way := os.Args[1], os.Args[2]
	tell := map[string]func(map[*client]struct{}, *client, []byte){
		"write": writeEach, "prepared": writePrepared, "pump": queueEach,
	}[way]
	chat := &hub{rooms: map[string]*room{}, tell: tell}
	upgrader := websocket.Upgrader{}
	upgraded := func(serve func(*websocket.Conn)) gin.HandlerFunc {
		return func(context *gin.Context) {
			if conn, err := upgrader.Upgrade(context.Writer, context.Request, nil); err == nil {
				serve(conn)
			}
		}
	}
	gin.SetMode(gin.ReleaseMode)
	router := gin.New() // without its logger
	router.GET("/ws", upgraded(func(conn *websocket.Conn) { chat.serve(conn, way == "pump") }))
	router.GET("/echo", upgraded(echo))
	if err := router.Run("127.0.0.1:" + port); err != nil {
		panic(err)
	}
}
