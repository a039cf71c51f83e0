#!/usr/bin/env escript
%% Erlang's gen_server under its own supervisors: the measures of the Python peers, natively compiled.
-mode(compile).
-behaviour(gen_server).
-export([init/1, handle_call/3, handle_cast/2, start_child/2]).

main([Measure, N]) ->
    logger:set_primary_config(level, none),
    process_flag(trap_exit, true),
    io:format("~p~n", [measure(list_to_atom(Measure), list_to_integer(N))]).

init({server, Parent}) -> Parent ! {alive, self()}, {ok, 0};
init({supervisor, Flags, Specs}) -> {ok, {Flags, Specs}}.
handle_call(count, _From, Count) -> {reply, Count, Count}.
handle_cast(crash, _Count) -> exit(crash);
handle_cast(_Message, Count) -> {noreply, Count + 1}.

start_child(Parent, _Name) -> gen_server:start_link(?MODULE, {server, Parent}, []).

alive() -> receive {alive, Pid} -> Pid end.
seconds(Begin) -> (erlang:monotonic_time(nanosecond) - Begin) / 1.0e9.
now_ns() -> erlang:monotonic_time(nanosecond).

server() ->
    {ok, Pid} = start_child(self(), counter),
    Pid = alive(),
    Pid.

pool(Restart) ->
    Flags = #{strategy => simple_one_for_one, intensity => 1000000000, period => 1},
    Spec = #{id => child, start => {?MODULE, start_child, [self()]}, restart => Restart},
    {ok, Pool} = supervisor:start_link(?MODULE, {supervisor, Flags, [Spec]}),
    Pool.

child(Pool) -> {ok, Pid} = supervisor:start_child(Pool, [name]), Pid = alive(), Pid.

measure(tell, N) ->
    Pid = server(),
    Begin = now_ns(),
    [gen_server:cast(Pid, I) || I <- lists:seq(1, N)],
    N = gen_server:call(Pid, count, infinity),
    seconds(Begin);
measure(ask, N) ->
    Pid = server(),
    Begin = now_ns(),
    [gen_server:call(Pid, count) || _ <- lists:seq(1, N)],
    seconds(Begin);
measure(spawn_stop, N) ->
    Pool = pool(temporary),
    Begin = now_ns(),
    [ok = supervisor:terminate_child(Pool, child(Pool)) || _ <- lists:seq(1, N)],
    seconds(Begin);
measure(restart, N) ->
    Pool = pool(permanent),
    Begin = now_ns(),
    lists:foldl(fun(_, Pid) -> gen_server:cast(Pid, crash), alive() end, child(Pool), lists:seq(1, N)),
    seconds(Begin);
measure(memory, N) ->
    Pool = pool(temporary),
    Before = erlang:memory(processes),
    [child(Pool) || _ <- lists:seq(1, N)],
    (erlang:memory(processes) - Before) / N;
measure(children, N) ->
    Begin = now_ns(),
    Pool = pool(temporary),
    [child(Pool) || _ <- lists:seq(1, N)],
    gen_server:stop(Pool),
    seconds(Begin).
