// Viewer request function of the site's files: Hugo's pages stand at <directory>/index.html, and S3 behind origin access control knows no
// index documents. A directory without its slash is redirected. CloudFront hands the path over as the visitor sent it.

// An API's route cannot end in a slash, and people type one: where a function answers for the directory.
var FRONT_PAGES = { "/mijn/": "/mijn/overzicht" };

// What browsers, proxies or S3 may take for a slash: two of them in a row begin another site's address.
var SLASHES = /[/\\]|%2f|%5c/i;
// Browsers drop these from an address, also between two slashes.
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what they are
var DROPPED = /[\x00-\x20\x7f]+/g;
var DOTS = /^(?:\.|%2e){1,2}$/i;

function segments(uri) {
  return uri
    .replace(DROPPED, "")
    .split(SLASHES)
    .filter(function (segment) {
      return segment !== "" && !DOTS.test(segment);
    });
}

function encoded(segment) {
  return segment.replace(/[^A-Za-z0-9\-._~!$&'()*+,;=:@%]/g, function (character) {
    try {
      return encodeURIComponent(character);
    } catch (_) {
      return "%EF%BF%BD"; // half of a surrogate pair
    }
  });
}

/** The query as it came; CloudFront does not decode it. */
function query(parameters) {
  var parts = [];
  Object.keys(parameters).forEach(function (name) {
    var values = parameters[name].multiValue || [parameters[name]];
    values.forEach(function (one) {
      parts.push(one.value === "" ? name : name + "=" + one.value);
    });
  });
  return parts.length > 0 ? "?" + parts.join("&") : "";
}

function redirect(status, description, location) {
  return { statusCode: status, statusDescription: description, headers: { location: { value: location } } };
}

// biome-ignore lint/correctness/noUnusedVariables: CloudFront calls it
function handler(event) {
  var request = event.request;
  if (FRONT_PAGES[request.uri]) {
    return redirect(302, "Found", FRONT_PAGES[request.uri] + query(request.querystring));
  }
  if (request.uri.endsWith("/")) {
    request.uri += "index.html";
    return request;
  }
  var path = segments(request.uri);
  if (path.length > 0 && path[path.length - 1].includes(".")) return request;
  var location =
    "/" +
    path
      .map(function (segment) {
        return encoded(segment) + "/";
      })
      .join("");
  return redirect(301, "Moved Permanently", location + query(request.querystring));
}
