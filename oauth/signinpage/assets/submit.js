// Posts the response of the authorization endpoint to the client at once.
document.forms[0].submit();
