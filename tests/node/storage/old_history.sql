-- sqlite3 .dump of a data directory's file as the first nodes made it.
BEGIN TRANSACTION;
CREATE TABLE history (
	id INTEGER NOT NULL CONSTRAINT ck_history_one_row CHECK (id = 1), 
	epoch VARCHAR(32) NOT NULL, 
	CONSTRAINT pk_history PRIMARY KEY (id)
);
INSERT INTO "history" VALUES(1,'0123456789ab');
CREATE TABLE messages (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	room VARCHAR(100) NOT NULL, 
	epoch VARCHAR(32) NOT NULL, 
	"offset" BIGINT NOT NULL, 
	user VARCHAR(255) NOT NULL, 
	"key" VARCHAR(64) NOT NULL, 
	content TEXT NOT NULL, 
	content_hash BLOB NOT NULL, 
	timestamp BIGINT NOT NULL, 
	node VARCHAR(64) NOT NULL, 
	status SMALLINT NOT NULL, 
	CONSTRAINT uq_messages_room_epoch_offset UNIQUE (room, epoch, "offset"), 
	CONSTRAINT uq_messages_room_user_key UNIQUE (room, user, "key")
);
INSERT INTO "messages" VALUES(1,'lobby','0123456789ab',1,'ann','k1','hello',X'46FB7408D4F285228F4AF516EA25851B',1700000000001,'greenroom',0);
INSERT INTO "messages" VALUES(2,'lobby','0123456789ab',2,'bob','k1','grüße 🌱',X'F4EB55A3A00A238A5CD3A6C567C4FE2E',1700000000002,'greenroom',0);
INSERT INTO "messages" VALUES(3,'other','0123456789ab',1,'ann','k1','x',X'442A44457137672B3218C1007DC8F76A',1700000000001,'greenroom',0);
CREATE TABLE rooms (
	room VARCHAR(100) NOT NULL, 
	epoch VARCHAR(32) NOT NULL, 
	"offset" BIGINT NOT NULL, 
	CONSTRAINT pk_rooms PRIMARY KEY (room)
);
INSERT INTO "rooms" VALUES('lobby','0123456789ab',2);
INSERT INTO "rooms" VALUES('other','0123456789ab',1);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('messages',3);
COMMIT;
