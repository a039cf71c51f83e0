%% A chat server on cowboy and pg: erl ... -run chat_server main PORT
-module(chat_server).
-behaviour(cowboy_websocket).
-export([main/1, init/2, websocket_init/1, websocket_handle/2, websocket_info/2]).

main([Port]) ->
    logger:set_primary_config(level, none),
    {ok, _} = application:ensure_all_started(cowboy),
    {ok, _} = pg:start(chat),
    offsets = ets:new(offsets, [named_table, public]),
    Dispatch = cowboy_router:compile(
        [{'_', [{"/ws", ?MODULE, chat}, {"/echo", ?MODULE, echo}]}]),
    Socket = [{port, list_to_integer(Port)}, {ip, {127, 0, 0, 1}}, {nodelay, true},
              {backlog, 1024}],
    {ok, _} = cowboy:start_clear(chat_listener,
        #{socket_opts => Socket, max_connections => infinity},
        #{env => #{dispatch => Dispatch}}),
    receive stop -> ok end.

init(Request, Handler) ->
    {cowboy_websocket, Request, Handler, #{idle_timeout => 60000, compress => false}}.

websocket_init(Handler) -> {[], Handler}.

websocket_handle({text, Text}, echo) ->
    {[{text, Text}], echo};
websocket_handle({text, Text}, chat) ->
    #{<<"type">> := <<"JOIN">>, <<"room">> := Room, <<"user">> := User} =
        jsx:decode(Text, [return_maps]),
    ok = pg:join(chat, Room, self()),
    Joined = jsx:encode(#{type => <<"JOINED">>, room => Room}),
    {[{text, Joined}], {Room, User}};
websocket_handle({text, Text}, {Room, User} = State) ->
    #{<<"type">> := <<"PUBLISH">>, <<"content">> := Content} = jsx:decode(Text, [return_maps]),
    Message = jsx:encode([
        {type, <<"MESSAGE">>}, {room, Room},
        {offset, ets:update_counter(offsets, Room, 1, {Room, 0})},
        {user, User}, {content, Content},
        {timestamp, erlang:system_time(millisecond)}]),
    [Member ! {say, Message} || Member <- pg:get_members(chat, Room), Member =/= self()],
    {[], State};
websocket_handle(_Frame, State) ->
    {[], State}.

websocket_info({say, Message}, State) -> {[{text, Message}], State};
websocket_info(_Info, State) -> {[], State}.
