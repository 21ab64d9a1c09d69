create or replace function pgwitness.set_actor(context jsonb) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $pgwitness$
-- Says for whom this transaction acts from here on; null: for nobody any more. The log gets the words, and of the session
-- what its user cannot choose. When it began stays out: reading that costs more than all of this. Assignments are
-- quicker than queries (exec_simple_check_plan in pl_exec.c).
declare
  address constant text := host(inet_client_addr());
  size constant int := octet_length(context::text);
  told pg_lsn;
begin
  if jsonb_typeof(context) not in ('object', 'null') then
    raise exception 'set_actor wants a JSON object such as {"user_id": "u_42"}, or null: not a JSON %', jsonb_typeof(context)
      using errcode = 'invalid_parameter_value';
  end if;
  if size > 8192 then
    raise exception 'set_actor takes 8192 bytes at most: the object has %', size
      using errcode = 'program_limit_exceeded', hint = 'It is repeated with every change of the transaction.';
  end if;
  told := pg_logical_emit_message(true, 'pgwitness', json_build_object(
    'v', 1, 'user', session_user, 'pid', pg_backend_pid(), 'application', current_setting('application_name'),
    'client', case when strpos(address, ':') > 0 then '[' || address || ']' else address end || ':' || inet_client_port(),
    'context', context)::text);
  -- A message stands in the stream where its record ends, a row where its record begins (logicalmsg_decode in decode.c):
  -- behind a savepoint that ends here, the next row could come before it.
  told := pg_logical_emit_message(true, 'pgwitness.end', '');
end
$pgwitness$;

create or replace function pgwitness.set_actor(user_id text, reason text default null::text, ticket text default null::text, request_id text default null::text, approval text default null::text) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $pgwitness$
-- The same for the usual words. What is null stays out. A literal without a type is text: set_actor('{"user_id": "u_42"}')
-- comes here, and means the object.
declare
  words jsonb;
begin
  if coalesce(reason, ticket, request_id, approval) is not null then
    words := jsonb_strip_nulls(jsonb_build_object(
      'user_id', user_id, 'reason', reason, 'ticket', ticket, 'request_id', request_id, 'approval', approval));
  elsif left(ltrim(user_id, ' ' || chr(9) || chr(10) || chr(13)), 1) = '{' then
    words := user_id::jsonb;
  elsif user_id is not null then
    words := jsonb_build_object('user_id', user_id);
  end if;
  perform pgwitness.set_actor(words);
end
$pgwitness$;
