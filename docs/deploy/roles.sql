-- Two roles: portal_owner changes tables, portal only rows. Each is the system user of the same name, by the socket.
CREATE ROLE portal_owner LOGIN;
CREATE ROLE portal LOGIN;
